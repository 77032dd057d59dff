-- Ends all sessions of a user at once, however many there are: those that were born until now.
-- KEYS: 1 the moment before which all are ended, 2 list of the user's, 3 the one that stays, if one does (all in one slot)
-- ARGV: 1 microseconds of the stamp, 2 live | replay, 3 for how many ms it is known at least, 4 microseconds by which
--       others' clocks may be ahead
-- Returns: live: how many were in the list besides the one that stays; replay: 1 done, 0 it was done by somebody later
local live = ARGV[2] == 'live'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function text(number)
  return string.format('%.0f', number)
end
local known = tonumber(redis.call('GET', KEYS[1]) or '-1')
local epoch = tonumber(ARGV[1])
if live then
  epoch = math.max(known + 1, epoch, now + tonumber(ARGV[4]))
elseif known >= epoch then
  return 0
end
local keeps = false
if KEYS[3] then
  local is = redis.call('HMGET', KEYS[3], 'v', 'b')
  -- Where nobody knows what was ended, whatever is there is.
  keeps = is[1] and known >= 0 and tonumber(is[2]) > known
end
local keep = math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], text(epoch), 'PX', text(keep))
if keeps then
  redis.call('HSET', KEYS[3], 'b', text(epoch + 1))
end
if not live then
  return 1
end
local count = redis.call('ZCOUNT', KEYS[2], text(now / 1000), '+inf')
return count - (keeps and 1 or 0)
