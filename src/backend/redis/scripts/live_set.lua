-- Writes a value if nothing newer stands there: a live write where old connections can't be killed, or behind an
-- invalidation of our own that is still on its way.
-- KEYS: 1 value, 2 side record (same slot)
-- ARGV: 1 stamp in microseconds, 2 stamp's process, 3 envelope, 4 TTL in ms (0 = none),
--       5 by how much its stamp has to be above this server's clock, in microseconds ('' = it need not be)
-- Returns: 0 written; below zero: written with so many microseconds as its stamp; else the microseconds of the newer
-- stamp
local micros = tonumber(ARGV[1])
local process = tonumber(ARGV[2])
local envelope, answer = ARGV[3], 0
if ARGV[5] ~= '' then
  local time = redis.call('TIME')
  local least = tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[5])
  if micros < least then
    micros, answer = least, -least
    envelope = string.sub(envelope, 1, 4) .. struct.pack('>I8', micros) .. string.sub(envelope, 13)
  end
end
local function newer(record, at)
  local other = struct.unpack('>I8', record, at)
  if other > micros or (other == micros and struct.unpack('>I8', record, at + 8) > process) then
    return other
  end
end
if redis.call('TYPE', KEYS[1])['ok'] == 'string' then
  local value = redis.call('GET', KEYS[1])
  if string.byte(value, 1) == 246 and string.byte(value, 2) == 1 and #value >= 42 then
    local other = newer(value, 5)
    if other then
      return other
    end
  end
end
local side = redis.call('GET', KEYS[2])
if side then
  local at = nil
  if string.byte(side, 1) == 84 then
    at = 2
  elseif #side >= 57 then
    at = 42
  end
  local other = at and newer(side, at)
  if other then
    return other
  end
end
if ARGV[4] == '0' then
  redis.call('SET', KEYS[1], envelope)
else
  redis.call('SET', KEYS[1], envelope, 'PX', ARGV[4])
end
return answer
