-- Reads a value that is newer than the one that was seen, or takes the lease to load it, or tells that somebody else
-- holds it. One step: whoever deletes afterwards voids the lease.
-- KEYS: 1 value, 2 side record (same slot)
-- ARGV: 1 token (8 bytes), 2 how long a fill is taken, in ms, 3 for how long others wait, in ms,
--       4 stamp (16 bytes) of the value that was seen and is not fresh, or '' for none,
--       5 how: wait | share (loads beside another one) | force (loads whatever stands there)
-- Returns: {1, value} when there is a newer one; {0, load start in microseconds of this server's clock, token} when it
-- may load; {2, ms, token} when somebody else does, for so long
-- Side record: 'T' stamp(16) = tombstone; 'L' token(8) start(8) until(8) stamp(16) stamp(16 or none) = lease, with the
-- stamp of the value that stands there, zeros for none, and the tombstone that stood there before.
local value = ARGV[5] ~= 'force' and redis.call('GET', KEYS[1])
if value and (ARGV[4] == '' or string.sub(value, 5, 20) ~= ARGV[4]) then
  return {1, value}
end
local seen = string.rep('\0', 16)
local head = redis.call('TYPE', KEYS[1])['ok'] == 'string' and redis.call('GETRANGE', KEYS[1], 0, 41)
if head and string.byte(head, 1) == 246 and string.byte(head, 2) == 1 and #head == 42 then
  seen = string.sub(head, 5, 20)
end
local time = redis.call('TIME')
local start = tonumber(time[1]) * 1000000 + tonumber(time[2])
local side = redis.call('GET', KEYS[2])
local tomb, token, keep = '', ARGV[1], tonumber(ARGV[2])
if side then
  if string.byte(side, 1) == 84 then
    tomb = string.sub(side, 2, 17)
  else
    tomb = string.sub(side, 42, 57)
    local till = struct.unpack('>I8', side, 18)
    -- Where another value stands by now, what its holder brings is refused anyway.
    local stands = till > start and string.sub(side, 26, 41) == seen
    if stands and string.sub(side, 2, 9) ~= token then
      if ARGV[5] == 'wait' then
        return {2, math.ceil((till - start) / 1000), string.sub(side, 2, 9)}
      end
      token = string.sub(side, 2, 9)
    end
  end
  keep = math.max(keep, redis.call('PTTL', KEYS[2]))
end
local till = struct.pack('>I8', start + tonumber(ARGV[3]) * 1000)
redis.call('SET', KEYS[2], 'L' .. token .. struct.pack('>I8', start) .. till .. seen .. tomb, 'PX', keep)
return {0, start, token}
