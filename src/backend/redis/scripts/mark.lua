-- Makes sure that a tag has its marker, and that it outlives what will carry the tag.
-- KEYS: 1 marker, 2 its shard (same slot)
-- ARGV: 1 stamp in microseconds of what will carry the tag, 0 = nothing is loaded yet, 2 how long it may live, in ms
--       (0 = for good), 3 no invalidation since that stamp was forgotten: 1 | 0
-- Returns: {deleted, expired, unknown} as the marker says
-- Marker: deleted(8) expired(8) unknown(8), microseconds. Shard: the last invalidation of any tag in it (8), when it was
-- made (8), microseconds.
--
-- A marker that is missing may have been forgotten, and with it what was invalidated. Until when that can have been
-- stands in its shard, and whatever is older is gone; where the shard is missing too, that is until now. Who knows that
-- since its stamp nothing was forgotten takes that back as far.
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
local function moment(record, at)
  local micros = struct.unpack('>I8', record, at)
  return micros
end
local stamp = tonumber(ARGV[1])
local deleted, expired, unknown = 0, 0, 0
local marker = redis.call('GET', KEYS[1])
-- Whatever else stands there says nothing.
marker = marker and #marker == 24 and marker
local changed = not marker
if marker then
  deleted, expired, unknown = moment(marker, 1), moment(marker, 9), moment(marker, 17)
else
  local shard = redis.call('GET', KEYS[2])
  if shard and #shard == 16 then
    unknown = math.max(moment(shard, 1), moment(shard, 9))
  else
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
    unknown = now - 1
    if stamp > now - 1000000 then
      -- It was on its way for less than a second: nothing is forgotten as fast.
      unknown = math.min(unknown, stamp - 1)
    end
    redis.call('SET', KEYS[2], struct.pack('>I8', 0) .. struct.pack('>I8', unknown))
  end
end
if ARGV[3] == '1' and unknown >= stamp then
  unknown = stamp - 1
  changed = true
end
local said = struct.pack('>I8', deleted) .. struct.pack('>I8', expired) .. struct.pack('>I8', unknown)
if marker then
  if changed then
    redis.call('SET', KEYS[1], said, 'KEEPTTL')
  end
  lives(KEYS[1])
elseif need == 0 then
  redis.call('SET', KEYS[1], said)
else
  redis.call('SET', KEYS[1], said, 'PX', need * 2)
end
return {deleted, expired, unknown}
