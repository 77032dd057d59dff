-- Makes a value stale that is not newer than this, and leaves the tombstone: older writes and loads under way yield.
-- KEYS: 1 value, 2 side record (same slot)
-- ARGV: 1 stamp in microseconds, 2 stamp's process, 3 tombstone record, 4 tombstone TTL in ms,
--       5 live: 1 (whatever stands there is stale) | 0
-- Returns: 1 it is stale, 0 nothing was there; where a newer value stays, its microseconds below zero.
-- A foreign value can't be stale: it is removed.
local micros = tonumber(ARGV[1])
local process = tonumber(ARGV[2])
local function newer(record, at)
  local other = struct.unpack('>I8', record, at)
  if other > micros or (other == micros and struct.unpack('>I8', record, at + 8) > process) then
    return other
  end
end
local stays, done = nil, 0
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind ~= 'none' then
  local value = kind == 'string' and redis.call('GETRANGE', KEYS[1], 0, 41)
  if value and string.byte(value, 1) == 246 and string.byte(value, 2) == 1 and #value >= 42 then
    stays = ARGV[5] == '0' and newer(value, 5)
    if not stays then
      -- The first moment of all.
      redis.call('SETRANGE', KEYS[1], 28, struct.pack('>I8', 1))
      done = 1
    end
  else
    done = redis.call('UNLINK', KEYS[1])
  end
end
local side = redis.call('GET', KEYS[2])
local tomb = side and (string.byte(side, 1) == 84 and string.sub(side, 2, 17) or string.sub(side, 42, 57)) or ''
if tomb == '' or not newer(tomb, 1) then
  -- A server without memory refuses it; what is stale counts for more.
  redis.pcall('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
elseif string.byte(side, 1) == 76 then
  -- The newer one stays; a load that is under way is outdated all the same.
  redis.call('SET', KEYS[2], 'T' .. tomb, 'KEEPTTL')
end
if stays then
  return -stays
end
return done
