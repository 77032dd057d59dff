-- Notes who is present in a room, and tells who is.
-- KEYS: 1 room
-- ARGV: 1 user, or '' to note nothing, 2 status; '' = gone, 3 for how long it counts, ms
-- Returns: user and status of all who are present, one after the other
-- The hash: user = 'microseconds until which it counts:status'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
if ARGV[1] ~= '' then
  if ARGV[2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[1])
  else
    local till = string.format('%.0f', now + tonumber(ARGV[3]) * 1000)
    redis.call('HSET', KEYS[1], ARGV[1], till .. ':' .. ARGV[2])
    if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
      redis.call('PEXPIRE', KEYS[1], ARGV[3])
    end
  end
  return {}
end
local all = redis.call('HGETALL', KEYS[1])
local present = {}
for at = 1, #all, 2 do
  local till, status = string.match(all[at + 1], '^(%d+):(.*)$')
  if tonumber(till) > now then
    present[#present + 1] = all[at]
    present[#present + 1] = status
  else
    redis.call('HDEL', KEYS[1], all[at])
  end
end
return present
