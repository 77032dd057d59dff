-- Reads a value, or takes the lease to load it. One step: whoever deletes afterwards voids the lease.
-- KEYS: 1 value, 2 side record (same slot)
-- ARGV: 1 token (8 bytes), 2 lease in ms
-- Returns: {1, value} when there is one, else {0, load start in microseconds of this server's clock}
-- Side record: 'T' stamp(16) = tombstone; 'L' token(8) start(8) stamp(16 or none) = lease, with the
-- tombstone that stood there before.
local value = redis.call('GET', KEYS[1])
if value then
  return {1, value}
end
local side = redis.call('GET', KEYS[2])
local tomb = ''
local keep = tonumber(ARGV[2])
if side then
  if string.byte(side, 1) == 84 then
    tomb = string.sub(side, 2, 17)
  else
    tomb = string.sub(side, 18, 33)
  end
  if tomb ~= '' then
    keep = math.max(keep, redis.call('PTTL', KEYS[2]))
  end
end
local time = redis.call('TIME')
local start = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('SET', KEYS[2], 'L' .. ARGV[1] .. struct.pack('>I8', start) .. tomb, 'PX', keep)
return {0, start}
