-- Ends all sessions of a user but one at once, however many there are: those that were born until now.
-- KEYS: 1 the moments before which they are ended, 2 list of the user's, 3 list of all in the shard (all in one slot)
-- ARGV: 1 microseconds of the stamp, 2 live | replay, 3 for how many ms it is known at least, 4 microseconds by which
--       others' clocks may be ahead, 5 name in the lists of the one that stays, or '', 6 what the keys of sessions begin
--       with: behind it stand the names in the lists, and all of them lie in the same slot
-- Returns: live: {how many there were besides the one that stays, 1 if some are in the lists still}; replay: 1
-- The moments: 'last', or 'last other name': all born until 'last' are ended, but of the one with this name only until
-- 'other', the last moment at which it was not the one that stayed. So it does not matter in which order they come.
-- Where nothing is noted, all are ended.
local live = ARGV[2] == 'live'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function text(number)
  return string.format('%.0f', number)
end
local known = redis.call('GET', KEYS[1]) or '0'
local last, other, stays = string.match(known, '^(%d+) ?(%d*) ?(.*)$')
last, other = tonumber(last), tonumber(other ~= '' and other or '0')
local epoch = tonumber(ARGV[1])
if live then
  epoch = math.max(last + 1, epoch, now + tonumber(ARGV[4]))
end
local same = ARGV[5] ~= '' and ARGV[5] == stays
if epoch > last then
  if not same then
    other = last
    stays = ARGV[5]
  end
  last = epoch
elseif not same then
  other = math.max(other, epoch)
end
local moments = text(last)
if stays ~= '' then
  moments = moments .. ' ' .. text(other) .. ' ' .. stays
end
local keep = math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[1]))
local noted = redis.pcall('SET', KEYS[1], moments, 'PX', text(keep))
if type(noted) == 'table' and noted.err then
  -- There is no room to say what is ended: then everything is.
  redis.call('DEL', KEYS[1])
  last, stays = math.huge, ''
end
-- Those of them that are few go at once, of many the others when there is time.
local names = redis.call('ZRANGE', KEYS[2], 0, 199)
local count = 0
local gone = {}
for _, name in ipairs(names) do
  local is = redis.call('HMGET', ARGV[6] .. name, 'v', 'b')
  local limit = name == stays and other or last
  if not is[1] or tonumber(is[2]) <= limit then
    count = count + (is[1] and 1 or 0)
    gone[#gone + 1] = name
    if is[1] then
      redis.call('UNLINK', ARGV[6] .. name)
    end
  end
end
if #gone > 0 then
  redis.call('ZREM', KEYS[2], unpack(gone))
  redis.call('ZREM', KEYS[3], unpack(gone))
end
if not live then
  return 1
end
if #names < 200 then
  return {count, 0}
end
local rest = redis.call('ZCOUNT', KEYS[2], text(now / 1000), '+inf')
if stays ~= '' and redis.call('ZSCORE', KEYS[2], stays) then
  rest = rest - 1
end
return {count + rest, rest > 0 and 1 or 0}
