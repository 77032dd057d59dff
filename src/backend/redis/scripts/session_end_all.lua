-- Ends all sessions of a user but one at once, however many there are: those that were born until now.
-- KEYS: 1 the moments before which they are ended, 2 list of the user's (both in one slot)
-- ARGV: 1 microseconds of the stamp, 2 live | replay, 3 for how many ms it is known at least, 4 microseconds by which
--       others' clocks may be ahead, 5 name in the lists of the one that stays, or ''
-- Returns: live: how many were in the list besides the one that stays; replay: 1
-- The moments: 'last', or 'last other name': all born until 'last' are ended, but of the one with this name only until
-- 'other', the last moment at which it was not the one that stayed. So it does not matter in which order they come.
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
redis.call('SET', KEYS[1], moments, 'PX', text(keep))
if not live then
  return 1
end
local count = redis.call('ZCOUNT', KEYS[2], text(now / 1000), '+inf')
if ARGV[5] ~= '' and redis.call('ZSCORE', KEYS[2], ARGV[5]) then
  count = count - 1
end
return count
