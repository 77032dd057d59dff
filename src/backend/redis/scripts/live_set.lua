-- Writes a value if nothing newer stands there: a live write where old connections can't be killed.
-- KEYS: 1 value, 2 side record (same slot)
-- ARGV: 1 stamp in microseconds, 2 stamp's process, 3 envelope, 4 TTL in ms (0 = none)
-- Returns: 0 written, else the microseconds of the newer stamp
local micros = tonumber(ARGV[1])
local process = tonumber(ARGV[2])
local function newer(record, at)
  local other = struct.unpack('>I8', record, at)
  if other > micros or (other == micros and struct.unpack('>I8', record, at + 8) > process) then
    return other
  end
end
if redis.call('TYPE', KEYS[1])['ok'] == 'string' then
  local value = redis.call('GET', KEYS[1])
  if string.byte(value, 1) == 246 and string.byte(value, 2) == 1 and #value >= 28 then
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
  elseif #side >= 33 then
    at = 18
  end
  local other = at and newer(side, at)
  if other then
    return other
  end
end
if ARGV[4] == '0' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
return 0
