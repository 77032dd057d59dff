-- Carries out changes that merge, each once, in whatever order and however often they arrive.
-- KEYS: 1 target, 2 record, 3 and more: the ids of each process that has changes here (all in one slot)
-- ARGV: 1 mode: live (one change, its answer is wanted) | replay, 2 whether what was sent before may be repeated where
--       nothing says that it was carried out: 1 | 0, 3 life of the records in ms, 4 the floor: every number below it of
--       the process of key 3 is closed (0 = not known), then for each change: place of its process' key, number,
--       sent before (1 | 0), kind (add | fields | members | head | tail), number of words, words:
--       add: by; fields: field, value, kept (1 | 0 = removed), stamp's microseconds, stamp's process each;
--       members: member, kept, stamp's microseconds, stamp's process each; head and tail: the values
-- Returns: live: what the command answers, or nil for a repeat of a closed number;
--          replay: 1 done, 0 it was done before, -1 some of it could not be done or decided
-- Ids: number, and 'number:answer'; those below the floor are let go. Record: 'w' key of ids = microseconds, ':' and the
-- floor; 'f' field or member = stamp of its newest change; 'c' = how far it was tidied up
local live = ARGV[1] == 'live'
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
local function floor_of(ids)
  local known = redis.call('HGET', KEYS[2], 'w' .. ids)
  return known and tonumber(string.match(known, ':(%d+)$')) or 0
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
    redis.call('INCRBY', KEYS[1], ARGV[first])
    -- As text: a number of this language is exact to 53 bits only.
    return redis.call('GET', KEYS[1])
  end
  -- Asked first, so that no part of it is noted where the key holds something else.
  local holds = redis.call('TYPE', KEYS[1])['ok']
  local needs = (kind == 'fields' and 'hash') or (kind == 'members' and 'set') or 'list'
  if holds ~= 'none' and holds ~= needs then
    error({err = 'WRONGTYPE Operation against a key holding the wrong kind of value'})
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
    for at = first, first + count - 1, 1000 do
      answer = redis.call(push, KEYS[1], unpack(ARGV, at, math.min(at + 999, first + count - 1)))
    end
  end
  return answer
end
local at = 5
local done, failed = 0, 0
local said = nil
while at <= #ARGV do
  local ids, number, sent, kind = KEYS[tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local count = tonumber(ARGV[at + 4])
  local known = redis.call('ZRANGE', ids, number, number, 'BYSCORE')[1]
  if known then
    said = string.match(known, ':(.*)$')
  elseif tonumber(number) < floor_of(ids) then
    said = nil
  elseif sent == '1' and ARGV[2] == '0' then
    failed = failed + 1
  else
    -- Noted first: what the server denies is denied before anything is done.
    redis.call('ZADD', ids, number, number .. ':')
    local went, result = pcall(run, kind, at + 5, count)
    if went then
      done = done + 1
      redis.call('ZREM', ids, number .. ':')
      redis.call('ZADD', ids, number, number .. ':' .. tostring(result))
      said = tostring(result)
    else
      redis.call('ZREM', ids, number .. ':')
      local text = type(result) == 'table' and result['err'] or tostring(result)
      if live or string.sub(text, 1, 3) == 'OOM' then
        return redis.error_reply(text)
      end
      failed = failed + 1
    end
    redis.call('PEXPIRE', ids, ARGV[3])
  end
  at = at + 5 + count
end
local floor = tonumber(ARGV[4])
if floor > 0 and redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[4]) > 0 and floor > floor_of(KEYS[3]) then
  redis.call('HSET', KEYS[2], 'w' .. KEYS[3], now .. ':' .. ARGV[4])
end
if redis.call('HLEN', KEYS[2]) > 0 then
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
-- A record of many parts loses those that nobody asks for any more, a page at a time.
if redis.call('HLEN', KEYS[2]) > 1000 and tonumber(time[2]) % 32 == 0 then
  local oldest = tonumber(now) - tonumber(ARGV[3]) * 1000
  local page = redis.call('HSCAN', KEYS[2], redis.call('HGET', KEYS[2], 'c') or '0', 'COUNT', 100)
  redis.call('HSET', KEYS[2], 'c', page[1])
  for part = 1, #page[2], 2 do
    local micros = tonumber(string.match(page[2][part + 1], '^(%d+):'))
    if micros and micros < oldest then
      redis.call('HDEL', KEYS[2], page[2][part])
    end
  end
end
if live then
  return said
end
return (failed > 0 and -1) or (done > 0 and 1) or 0
