-- Publishes a message and keeps it in its channel's stream.
-- KEYS: 1 stream
-- ARGV: 1 channel, 2 the message without its first brace, 3 what is put in front of it, 4 how long the stream lives, ms,
--       5 how many are kept, about, 6 publish | spublish
-- Returns: the entry's id
-- An id is 'began-number': when the stream began, and the message's number in it, without gaps: so whoever has seen one
-- knows how many he has missed.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local id
if last then
  local began, number = string.match(last[1], '^(%d+)-(%d+)$')
  id = began .. '-' .. string.format('%.0f', tonumber(number) + 1)
else
  local time = redis.call('TIME')
  id = time[1] .. string.format('%06d', tonumber(time[2])) .. '-1'
end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], id, 'm', ARGV[3] .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call(ARGV[6], ARGV[1], '{"seq":"' .. id .. '",' .. ARGV[3] .. ARGV[2])
return id
