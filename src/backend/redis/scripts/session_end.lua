-- Ends a session for good. That it is ended stays known for as long as it could have lived.
-- KEYS: 1 session, 2 list of all in its shard, 3 list of its user's, if it has one (all in one slot)
-- ARGV: 1 the session's name in the lists, 2 live | replay, 3 name of the one that takes its place, or '', 4 for how many
--       ms that is told, 5 for how many ms it is known of one that is not there that it is ended
-- Returns: live: {1, fields and values that it had} it was there, {0} it was not, {3, name} another has its place;
--          replay: 1
-- The hash is described in session_write.lua
local live = ARGV[2] == 'live'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function text(number)
  return string.format('%.0f', number)
end
-- A server without room refuses the note, and what it frees by the end counts for more.
local function note(...)
  redis.pcall('HSET', KEYS[1], ...)
end
local function answer(...)
  return live and {...} or 1
end
local is = redis.call('HMGET', KEYS[1], 'v', 'c', 'a', 's', 'x', 't', 'g')
if is[5] then
  return answer(0)
end
if is[6] then
  if ARGV[3] == '' then
    redis.call('HDEL', KEYS[1], 't', 'g')
    note('x', '1')
  end
  if tonumber(is[7]) > now then
    return answer(3, is[6])
  end
  return answer(0)
end
if not is[1] then
  note('x', '1')
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  return answer(0)
end
local was = redis.call('HGETALL', KEYS[1])
local idle = tonumber(string.match(redis.call('HGET', KEYS[1], '.idle') or '', ' (%d+)$') or '0')
local absolute = tonumber(is[3])
local ends = absolute > 0 and tonumber(is[2]) + absolute * 1000 or now + idle * 1000
redis.call('UNLINK', KEYS[1])
if ARGV[3] == '' then
  note('x', '1')
else
  note('t', ARGV[3], 'g', text(now + tonumber(ARGV[4]) * 1000))
end
redis.call('PEXPIREAT', KEYS[1], text(math.max(ends / 1000, now / 1000 + tonumber(ARGV[5]))))
redis.call('ZREM', KEYS[2], ARGV[1])
if KEYS[3] then
  redis.call('ZREM', KEYS[3], ARGV[1])
end
return answer(1, was)
