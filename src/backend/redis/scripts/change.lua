-- Carries out changes that merge, each once, however often it arrives.
-- KEYS: 1 target, 2 record (same slot)
-- ARGV: 1 mode: live (one change, its answer is wanted) | replay, 2 whether what was sent before may be repeated where
--       nothing says that it was carried out: 1 | 0, 3 life of the record in ms, 4 and 5 process and number of the
--       change that must have gone before ('' and 0 = none), then for each change: process, number,
--       sent before (1 | 0), kind (add | fields | members | head | tail), number of words, words:
--       add: 1 by; fields: field, value, kept (1 | 0 = removed), stamp's microseconds, stamp's process each;
--       members: member, kept, stamp's microseconds, stamp's process each; head and tail: the values
-- Returns: live: what the command answers, or nil for a repeat whose answer is not known any more;
--          replay: 1 done, 0 it was done before, -1 some of it could not be done or decided
-- Record: 'p' process = number, ':' and answer of its last change; 'f' field or member = stamp of its newest
--         change; 'c' = how far it was tidied up
local live = ARGV[1] == 'live'
local function last_of(process)
  local known = redis.call('HGET', KEYS[2], 'p' .. process)
  if known then
    local number, answer = string.match(known, '^(%d+):(.*)$')
    return tonumber(number), answer
  end
end
if ARGV[4] ~= '' then
  local number = last_of(ARGV[4])
  if not number or number < tonumber(ARGV[5]) then
    return redis.error_reply('HOLDFAST a change that goes before is missing')
  end
end
-- A live one is the last to arrive, so it stands; a replay yields to what is newer.
local function stands(part, micros, process)
  local name = 'f' .. part
  local known = redis.call('HGET', KEYS[2], name)
  local newer = false
  if known then
    local other, by = string.match(known, '^(%d+):(%d+)$')
    other = tonumber(other)
    newer = other > tonumber(micros) or (other == tonumber(micros) and tonumber(by) > tonumber(process))
  end
  if not newer then
    redis.call('HSET', KEYS[2], name, micros .. ':' .. process)
  end
  return live or not newer
end
local function run(kind, first, count)
  if kind == 'add' then
    local result = redis.pcall('INCRBY', KEYS[1], ARGV[first])
    -- As text: a number of this language is exact to 53 bits only.
    return type(result) == 'table' and result or redis.call('GET', KEYS[1])
  end
  -- Asked first, so that no part of it is noted where the key holds something else.
  local holds = redis.call('TYPE', KEYS[1])['ok']
  local needs = (kind == 'fields' and 'hash') or (kind == 'members' and 'set') or 'list'
  if holds ~= 'none' and holds ~= needs then
    return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value')
  end
  local answer = 0
  if kind == 'fields' then
    for at = first, first + count - 1, 5 do
      if stands(ARGV[at], ARGV[at + 3], ARGV[at + 4]) then
        if ARGV[at + 2] == '1' then
          answer = answer + redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
        else
          answer = answer + redis.call('HDEL', KEYS[1], ARGV[at])
        end
      end
    end
  elseif kind == 'members' then
    for at = first, first + count - 1, 4 do
      if stands(ARGV[at], ARGV[at + 2], ARGV[at + 3]) then
        answer = answer + redis.call(ARGV[at + 1] == '1' and 'SADD' or 'SREM', KEYS[1], ARGV[at])
      end
    end
  else
    local push = kind == 'head' and 'LPUSH' or 'RPUSH'
    for at = first, first + count - 1 do
      answer = redis.call(push, KEYS[1], ARGV[at])
    end
  end
  return answer
end
local at = 6
local done, failed = 0, 0
local said = nil
while at <= #ARGV do
  local process, number, sent, kind = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local count = tonumber(ARGV[at + 4])
  local known, answer = last_of(process)
  if known and known >= tonumber(number) then
    said = known == tonumber(number) and answer or nil
  elseif sent == '1' and ARGV[2] == '0' then
    failed = failed + 1
  else
    local result = run(kind, at + 5, count)
    if type(result) == 'table' and result['err'] then
      -- A server without room refuses it before anything is done; it is tried again.
      if live or string.sub(result['err'], 1, 3) == 'OOM' then
        return result
      end
      failed = failed + 1
      result = 0
    else
      done = done + 1
    end
    said = tostring(result)
    redis.call('HSET', KEYS[2], 'p' .. process, number .. ':' .. said)
  end
  at = at + 5 + count
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
-- A record of many parts loses those that nobody asks for any more, a page at a time. Small numbers are of
-- processes that had not met a server; their age is not known.
local time = redis.call('TIME')
if redis.call('HLEN', KEYS[2]) > 1000 and tonumber(time[2]) % 32 == 0 then
  local oldest = tonumber(time[1]) * 1000000 - tonumber(ARGV[3]) * 1000
  local page = redis.call('HSCAN', KEYS[2], redis.call('HGET', KEYS[2], 'c') or '0', 'COUNT', 100)
  redis.call('HSET', KEYS[2], 'c', page[1])
  for part = 1, #page[2], 2 do
    local micros = tonumber(string.match(page[2][part + 1], '^(%d+):'))
    if micros and micros > 1e14 and micros < oldest then
      redis.call('HDEL', KEYS[2], page[2][part])
    end
  end
end
if live then
  return said
end
return (failed > 0 and -1) or (done > 0 and 1) or 0
