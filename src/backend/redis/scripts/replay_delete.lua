-- Removes a value that is not newer than this delete, and leaves the tombstone: a journalled delete, or
-- one that was sent on a connection that broke, or a key that a clear found.
-- KEYS: 1 value, 2 side record (same slot)
-- ARGV: 1 stamp in microseconds, 2 stamp's process, 3 tombstone record, 4 tombstone TTL in ms,
--       5 up to when others' values go, in microseconds ('' = up to the same stamp)
-- Returns: 1 removed, 0 nothing was there; where a newer value stays, its microseconds below zero.
-- A foreign value is removed.
local micros = tonumber(ARGV[1])
local process = tonumber(ARGV[2])
local function newer(record, at)
  local other = struct.unpack('>I8', record, at)
  if other > micros or (other == micros and struct.unpack('>I8', record, at + 8) > process) then
    return other
  end
end
local kind = redis.call('TYPE', KEYS[1])['ok']
local stays = nil
if kind == 'string' then
  local value = redis.call('GET', KEYS[1])
  if string.byte(value, 1) == 246 and string.byte(value, 2) == 1 and #value >= 42 then
    stays = newer(value, 5)
    if stays and ARGV[5] ~= '' and struct.unpack('>I8', value, 13) ~= process and stays <= tonumber(ARGV[5]) then
      stays = nil
    end
  end
end
local removed = 0
if not stays then
  removed = redis.call('UNLINK', KEYS[1])
end
-- The tombstone stands beside a newer value too: that one may expire before an older write arrives.
local side = redis.call('GET', KEYS[2])
local tomb = side and (string.byte(side, 1) == 84 and string.sub(side, 2, 17) or string.sub(side, 42, 57)) or ''
if tomb == '' or not newer(tomb, 1) then
  -- A server without memory refuses it; what it frees by the removal counts for more.
  redis.pcall('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
elseif string.byte(side, 1) == 76 then
  -- The newer one stays; a load that is under way is outdated all the same.
  redis.call('SET', KEYS[2], 'T' .. tomb, 'KEEPTTL')
end
if stays then
  return -stays
end
return removed
