-- Makes sure that a tag has its marker, and that it outlives what will carry the tag.
-- KEYS: 1 marker, 2 its shard (same slot)
-- ARGV: 1 stamp in microseconds of what will carry the tag, 0 = nothing is loaded yet, 2 how long it may live, in ms
--       (0 = for good), 3 nothing was invalidated since that stamp that this server forgot: 1 | 0
-- Returns: {deleted, expired} as the marker says
-- Marker: deleted(8) expired(8), microseconds. Shard: the microseconds (8) of the last invalidation of any tag in it.
--
-- A marker that is missing may have been forgotten, and with it an invalidation. So it is made anew as of now, and
-- whatever is older is gone; unless the shard tells that there was none since the stamp.
local need = tonumber(ARGV[2])
local function lives(key)
  local left = redis.call('PTTL', key)
  if left == -1 then
    return
  end
  if need == 0 then
    redis.call('PERSIST', key)
  elseif left < need then
    -- Twice as long, so that it is not done for each value.
    redis.call('PEXPIRE', key, need * 2)
  end
end
local marker = redis.call('GET', KEYS[1])
if marker then
  lives(KEYS[1])
  local said, expired = struct.unpack('>I8', marker, 1), struct.unpack('>I8', marker, 9)
  return {said, expired}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) - 1
local stamp = tonumber(ARGV[1])
local shard = redis.call('GET', KEYS[2])
local deleted = now
if stamp > 0 and (ARGV[3] == '1' or (shard and struct.unpack('>I8', shard) < stamp)) then
  deleted = math.min(now, stamp - 1)
end
if not shard then
  redis.call('SET', KEYS[2], struct.pack('>I8', now))
end
marker = struct.pack('>I8', deleted) .. struct.pack('>I8', 0)
if need == 0 then
  redis.call('SET', KEYS[1], marker)
else
  redis.call('SET', KEYS[1], marker, 'PX', need * 2)
end
return {deleted, 0}
