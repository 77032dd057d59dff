-- Gives a session another id, in one step: nothing that is written beside it is lost, and it is as old as it was.
-- KEYS: 1 session, 2 the same under its new id, 3 list of all in its shard; of a user's also 4 the moments before which all
--       of the user's are ended, 5 list of the user's (all in one slot)
-- ARGV: 1 its name in the lists, 2 its new name, 3 for how many ms the old id leads to it
-- Returns: {1, fields and values that it has} done, {0} it is not there, {3, name} another took its place
-- The hash and the moments are described in session_write.lua and session_end_all.lua
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local is = redis.call('HMGET', KEYS[1], 'v', 'b', 'c', 'a', 'x', 't', 'g')
if is[6] == ARGV[2] and redis.call('HEXISTS', KEYS[2], 'v') == 1 then
  -- Sent twice, it has been carried out already.
  return {1, redis.call('HGETALL', KEYS[2])}
end
if is[6] and not is[5] and tonumber(is[7]) > now then
  return {3, is[6]}
end
if not is[1] then
  return {0}
end
if KEYS[4] then
  local last, other, stays = string.match(redis.call('GET', KEYS[4]) or '', '^(%d+) ?(%d*) ?(.*)$')
  local epoch = tonumber(stays == ARGV[1] and other or last)
  if not epoch or tonumber(is[2]) <= epoch then
    return {0}
  end
  -- Where it was the one that stayed when all others were ended, it is so still.
  if stays == ARGV[1] then
    redis.call('SET', KEYS[4], last .. ' ' .. other .. ' ' .. ARGV[2], 'KEEPTTL')
  end
end
local left = redis.call('PTTL', KEYS[1])
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HINCRBY', KEYS[2], 'v', 1)
redis.call('HSET', KEYS[2], 'e', string.format('%.0f', now))
local grace = tonumber(ARGV[3]) * 1000
redis.call('HSET', KEYS[1], 't', ARGV[2], 'g', string.format('%.0f', now + grace))
-- For as long as it could have lived under the old one, it is known where it is.
local ends = tonumber(is[4]) > 0 and (tonumber(is[3]) - now) / 1000 + tonumber(is[4]) or left
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(ends, 1)))
if ends < left then
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(ends, 1)))
end
for _, key in ipairs({KEYS[3], KEYS[5]}) do
  local score = redis.call('ZSCORE', key, ARGV[1])
  redis.call('ZREM', key, ARGV[1])
  if score then
    redis.call('ZADD', key, score, ARGV[2])
  end
end
return {1, redis.call('HGETALL', KEYS[2])}
