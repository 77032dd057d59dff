-- Invalidates a tag: whatever carries it and is not newer is gone, or stale.
-- KEYS: 1 marker, 2 its shard (same slot)
-- ARGV: 1 stamp in microseconds, 2 delete | expire, 3 how long a marker lives that is made here, in ms,
--       4 by how much clocks may differ, in microseconds, 5 live: 1 | 0 (it was taken earlier, as it counts),
--       6 nothing was invalidated since that stamp that this server forgot: 1 | 0
-- Returns: live: the microseconds from which on it is over; else 1
-- Marker: deleted(8) expired(8), microseconds. Shard: the microseconds (8) of the last invalidation of any tag in it.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stamp = tonumber(ARGV[1])
local answer = 1
if ARGV[5] == '1' then
  -- What others write now may carry a stamp so far ahead.
  stamp = math.max(stamp, now + tonumber(ARGV[4]))
  answer = stamp
end
local shard = redis.call('GET', KEYS[2])
local last = shard and struct.unpack('>I8', shard)
local deleted, expired = 0, 0
local marker = redis.call('GET', KEYS[1])
if marker then
  deleted, expired = struct.unpack('>I8', marker, 1), struct.unpack('>I8', marker, 9)
else
  -- It may have been forgotten, with what it said: whatever is older is gone.
  deleted = stamp
  if ARGV[6] ~= '1' and not (last and last < stamp) then
    deleted = math.max(stamp, now)
  end
end
if ARGV[2] == 'delete' then
  deleted = math.max(deleted, stamp)
else
  expired = math.max(expired, stamp)
end
redis.call('SET', KEYS[2], struct.pack('>I8', math.max(stamp, last or now)))
local said = struct.pack('>I8', deleted) .. struct.pack('>I8', expired)
if marker then
  redis.call('SET', KEYS[1], said, 'KEEPTTL')
else
  redis.call('SET', KEYS[1], said, 'PX', ARGV[3])
end
return answer
