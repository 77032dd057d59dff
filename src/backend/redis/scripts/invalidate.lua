-- Invalidates a tag: whatever carries it and is not newer is gone, or stale.
-- KEYS: 1 marker, 2 its shard (same slot)
-- ARGV: 1 stamp in microseconds, 2 delete | expire, 3 for how long it has to be known, in ms,
--       4 by how much clocks may differ, in microseconds, 5 live: 1 | 0 (it was taken earlier, as it counts)
-- Returns: live: the microseconds from which on it is over; else 1
-- Marker and shard as in mark.lua.
local function moment(record, at)
  local micros = struct.unpack('>I8', record, at)
  return micros
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stamp = tonumber(ARGV[1])
local answer = 1
if ARGV[5] == '1' then
  -- What others write now may carry a stamp so far ahead.
  stamp = math.max(stamp, now + tonumber(ARGV[4]))
  answer = stamp
end
local last, made = 0, now
local shard = redis.call('GET', KEYS[2])
shard = shard and #shard == 16 and shard
if shard then
  last, made = moment(shard, 1), moment(shard, 9)
end
local deleted, expired, unknown = 0, 0, math.max(last, made)
local marker = redis.call('GET', KEYS[1])
-- Whatever else stands there says nothing.
marker = marker and #marker == 24 and marker
if marker then
  deleted, expired, unknown = moment(marker, 1), moment(marker, 9), moment(marker, 17)
end
if ARGV[2] == 'delete' then
  deleted = math.max(deleted, stamp)
else
  expired = math.max(expired, stamp)
end
redis.call('SET', KEYS[2], struct.pack('>I8', math.max(stamp, last)) .. struct.pack('>I8', made))
local said = struct.pack('>I8', deleted) .. struct.pack('>I8', expired) .. struct.pack('>I8', unknown)
local keep, left = tonumber(ARGV[3]), redis.call('PTTL', KEYS[1])
if left == -1 or left >= keep then
  redis.call('SET', KEYS[1], said, 'KEEPTTL')
else
  redis.call('SET', KEYS[1], said, 'PX', keep)
end
return answer
