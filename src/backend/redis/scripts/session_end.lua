-- Ends a session for good, and what took its place. That it is ended stays known for as long as it could have lived.
-- KEYS: 1 session, 2 list of all in its shard; of a user's also 3 the moments before which all of the user's are ended,
--       4 list of the user's (all in one slot)
-- ARGV: 1 the session's name in the lists, 2 live | replay, 3 for how many ms it is known of one that is not there that it
--       is ended, 4 what the keys of sessions begin with: behind it stand the names in the lists, and all of them lie in
--       the same slot
-- Returns: live: {1, fields and values that it had} it was there, {0} it was not; replay: 1
-- The hash and the moments are described in session_write.lua and session_end_all.lua
local live = ARGV[2] == 'live'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
-- A server without room refuses the note, and what it frees by the end counts for more.
local function note(key)
  redis.pcall('HSET', key, 'x', '1')
end
local function answer(...)
  return live and {...} or 1
end
local key, name = KEYS[1], ARGV[1]
local is
for _ = 1, 64 do
  is = redis.call('HMGET', key, 'v', 'c', 'a', 'b', 'x', 't', 'g')
  if is[5] or not is[6] then
    break
  end
  -- Who comes when the old id leads nowhere any more has nothing to end; what comes late was said in time.
  local leads = not live or tonumber(is[7]) > now
  if not leads then
    return answer(0)
  end
  redis.call('HDEL', key, 't', 'g')
  note(key)
  key, name = ARGV[4] .. is[6], is[6]
end
if is[5] then
  return answer(0)
end
if not is[1] then
  note(key)
  redis.call('PEXPIRE', key, ARGV[3])
  return answer(0)
end
local stood = true
if KEYS[3] then
  local last, other, stays = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+) ?(%d*) ?(.*)$')
  local epoch = tonumber(stays == name and other or last)
  stood = epoch and tonumber(is[4]) > epoch
end
local was = redis.call('HGETALL', key)
local left = redis.call('PTTL', key)
local absolute = tonumber(is[3])
local ends = absolute > 0 and (tonumber(is[2]) - now) / 1000 + absolute or left
redis.call('UNLINK', key)
note(key)
redis.call('PEXPIRE', key, string.format('%.0f', math.max(ends, left, 1)))
redis.call('ZREM', KEYS[2], name)
if KEYS[4] then
  redis.call('ZREM', KEYS[4], name)
end
if not stood then
  return answer(0)
end
return answer(1, was)
