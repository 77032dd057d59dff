-- Notes that a family is cleared: whoever holds an older set of it learns that even where there is no key at which to
-- leave a tombstone.
-- KEYS: 1 list of clears
-- ARGV: 1 prefix, 2 stamp in microseconds, 3 how long it is kept, in ms
-- Returns: the microseconds of this server's clock
-- List: prefix = stamp, ':' and until when it is kept, in microseconds of this server's clock; '' = how far it was
-- tidied up
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stamp, kept = tonumber(ARGV[2]), now + tonumber(ARGV[3]) * 1000
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
  local other, till = string.match(known, '^(%d+):(%d+)$')
  stamp, kept = math.max(stamp, tonumber(other)), math.max(kept, tonumber(till))
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f', stamp, kept))
redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[3])))
-- A long list loses what is over, a page at a time.
if redis.call('HLEN', KEYS[1]) > 100 then
  local page = redis.call('HSCAN', KEYS[1], redis.call('HGET', KEYS[1], '') or '0', 'COUNT', 20)
  redis.call('HSET', KEYS[1], '', page[1])
  for at = 1, #page[2], 2 do
    local till = tonumber(string.match(page[2][at + 1], ':(%d+)$'))
    if till and till < now then
      redis.call('HDEL', KEYS[1], page[2][at])
    end
  end
end
return now
