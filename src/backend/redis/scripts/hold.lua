-- Keeps a lease for longer, or gives it back.
-- KEYS: 1 side record
-- ARGV: 1 token (8 bytes; '' = whoever has it), 2 for how long others wait from now on, in ms; 0 = it is given back,
--       3 how long a fill is taken from now on, in ms
-- Returns: 1 it stood, 0 it is gone
local side = redis.call('GET', KEYS[1])
local is_lease = side and string.byte(side, 1) == 76
if not is_lease or (ARGV[1] ~= '' and string.sub(side, 2, 9) ~= ARGV[1]) then
  return 0
end
if ARGV[2] ~= '0' then
  local time = redis.call('TIME')
  local till = tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[2]) * 1000
  local kept = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[3]))
  redis.call('SET', KEYS[1], string.sub(side, 1, 17) .. struct.pack('>I8', till) .. string.sub(side, 26), 'PX', kept)
  return 1
end
local tomb = string.sub(side, 42, 57)
if tomb == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], 'T' .. tomb, 'PX', math.max(redis.call('PTTL', KEYS[1]), 1))
end
return 1
