-- Writes a loaded value if its own lease still stands and no newer value came meanwhile.
-- KEYS: 1 value, 2 side record (same slot)
-- ARGV: 1 token (8 bytes), 2 load start in microseconds (0 = it is outdated, the lease is given back), 3 envelope, 4 TTL in ms (0 = none)
-- Returns: 1 written, 0 refused (the lease is gone: deleted, replaced or evicted; or a newer value)
local side = redis.call('GET', KEYS[2])
if not side or string.byte(side, 1) ~= 76 or string.sub(side, 2, 9) ~= ARGV[1] then
  return 0
end
local tomb = string.sub(side, 42, 57)
if tomb == '' then
  redis.call('DEL', KEYS[2])
else
  local keep = redis.call('PTTL', KEYS[2])
  redis.call('SET', KEYS[2], 'T' .. tomb, 'PX', math.max(keep, 1))
end
if ARGV[2] == '0' then
  return 0
end
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind ~= 'none' then
  if kind ~= 'string' then
    return 0
  end
  local value = redis.call('GET', KEYS[1])
  if string.byte(value, 1) ~= 246 or string.byte(value, 2) ~= 1 or #value < 42 then
    return 0
  end
  -- Whoever wrote meanwhile may read the clock behind, so that it is not the newer stamp that tells.
  if string.sub(value, 5, 20) ~= string.sub(side, 26, 41) or struct.unpack('>I8', value, 5) >= tonumber(ARGV[2]) then
    return 0
  end
end
if ARGV[4] == '0' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
return 1
