-- Makes a session, or changes it, by fields: of each the newest stamp counts. An ended one is never changed.
-- KEYS: 1 session, 2 list of all in its shard; of a user's also 3 the moments before which all of the user's are ended,
--       4 list of the user's (all in one slot)
-- ARGV: 1 the session's name in the lists, 2 live | use (live, of nothing but its use) | replay, 3 the version that it
--       must have ('' = any), 4 born, 5 used ('' = as it is; live: any other = now), 6 created, 7 absolute lifetime in
--       ms ('' = it must be there), 8 user, 9 how many are kept in the list (0 = all), 10 the version behind which it
--       stands then, 11 what the keys of sessions begin with: behind it stand the names in the lists, 12 replay: the
--       names that it had before, the server may know it under the first, 13 for how many ms these lead to it, then for
--       each field: name, microseconds and process of its stamp, kept (1 | 0 = removed), value. Moments are
--       microseconds of this server's clock.
-- Returns: live: {1, names beyond those that are kept, fields and values of the hash} done, {0} it is not there,
--          {2, {}, fields and values} it has another version, {3, name} another took its place; use: {4, used} done;
--          replay: 1 done, 0 it is ended, or not there
-- The hash: v version, e when that changed last, b born, s used, c created, a absolute lifetime, u user, x ended, t name of
-- the one that took its place, g until when that is told; '.name' and ':name' fields: 'micros.process value', without a
-- value if removed
local live = ARGV[2] ~= 'replay'
local brief = ARGV[2] == 'use'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function text(number)
  return string.format('%.0f', number)
end
local key, name = KEYS[1], ARGV[1]
local function answer(code, spare)
  if not live then
    return code == 1 and 1 or 0
  end
  -- Its time may have come just now.
  local all = code > 0 and redis.call('HGETALL', key) or {}
  if #all == 0 then
    return {0}
  end
  return {code, spare or {}, all}
end
local is
for _ = 1, 64 do
  is = redis.call('HMGET', key, 'v', 'b', 's', 'c', 'a', 'x', 't', 'g')
  if not is[7] or is[6] or live then
    break
  end
  -- What waited for it belongs to what took its place.
  key, name = ARGV[11] .. is[7], is[7]
end
if is[6] then
  return answer(0)
end
if is[7] then
  if live and tonumber(is[8]) > now then
    return {3, is[7]}
  end
  return answer(0)
end
if not is[1] and not live and ARGV[12] ~= '' then
  -- It has another id than the server knows. If it was ended under the old one, it is ended.
  local first = string.match(ARGV[12], '^%S+')
  local from, was = first
  for _ = 1, 64 do
    was = redis.call('HMGET', ARGV[11] .. from, 'v', 'x', 't', 'c', 'a')
    if was[2] or not was[3] then
      break
    end
    from = was[3]
  end
  if was[2] then
    return answer(0)
  end
  -- For as long as it can live, it is known where it is: whoever ends it under an old id ends it.
  local ends = tonumber(ARGV[7]) or 0
  if was[1] then
    local left = redis.call('PTTL', ARGV[11] .. from)
    ends = tonumber(was[5]) > 0 and (tonumber(was[4]) - now) / 1000 + tonumber(was[5]) or left
    if from == first then
      redis.call('RENAME', ARGV[11] .. from, key)
      for _, list in ipairs({KEYS[2], KEYS[4]}) do
        redis.call('ZREM', list, from)
      end
      -- Where it was the one that stayed when all others were ended, it is so still.
      local moments = KEYS[3] and redis.call('GET', KEYS[3]) or ''
      local last, other, stays = string.match(moments, '^(%d+) (%d+) (.+)$')
      if stays == from then
        redis.call('SET', KEYS[3], last .. ' ' .. other .. ' ' .. name, 'KEEPTTL')
      end
    else
      -- Somebody else gave it another id as well: both lead to it.
      redis.call('HSET', key, 't', from, 'g', '9007199254740991')
      redis.call('PEXPIRE', key, string.format('%.0f', math.max(ends, left, 1)))
      key, name = ARGV[11] .. from, from
    end
    is = redis.call('HMGET', key, 'v', 'b', 's', 'c', 'a')
  end
  for old in string.gmatch(ARGV[12], '%S+') do
    if old ~= name and redis.call('EXISTS', ARGV[11] .. old) == 0 then
      redis.call('HSET', ARGV[11] .. old, 't', name, 'g', text(now + tonumber(ARGV[13]) * 1000))
      redis.call('PEXPIRE', ARGV[11] .. old, string.format('%.0f', math.max(ends, 1)))
    end
  end
end
local begins = not is[1]
if begins and ARGV[7] == '' then
  return answer(0)
end
local born = tonumber(is[2] or ARGV[4])
local used = tonumber(is[3] or '0')
local created = tonumber(is[4] or ARGV[6])
local absolute = tonumber(is[5] or ARGV[7])
if ARGV[5] ~= '' then
  used = math.max(used, live and now or tonumber(ARGV[5]))
end
if begins and live then
  created = now
  born = now
end
if KEYS[3] then
  -- As session_end_all.lua writes them.
  local last, other, stays = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+) ?(%d*) ?(.*)$')
  local epoch = tonumber(stays == name and other or last)
  if not epoch then
    -- Nobody knows what was ended: whatever is there already is.
    if not begins then
      return answer(0)
    end
    epoch = redis.call('EXISTS', KEYS[4]) == 1 and born - 1 or 0
    redis.call('SET', KEYS[3], text(epoch), 'PX', 86400000)
  end
  if begins and live then
    born = math.max(born, epoch + 1)
  elseif born <= epoch then
    return answer(0)
  end
end
if ARGV[3] ~= '' and ARGV[3] ~= is[1] then
  -- Sent twice, it has been carried out already.
  local mine = #ARGV > 13
  for at = 14, #ARGV, 5 do
    local known = redis.call('HGET', key, ARGV[at])
    local stamp = ARGV[at + 1] .. '.' .. ARGV[at + 2]
    mine = mine and known and string.match(known, '^%d+%.%d+') == stamp
  end
  return answer(mine and 1 or 2)
end
local changed = begins
for at = 14, #ARGV, 5 do
  local micros, process = tonumber(ARGV[at + 1]), ARGV[at + 2]
  local known = redis.call('HGET', key, ARGV[at])
  local newer = false
  if known then
    local other, by = string.match(known, '^(%d+)%.(%d+)')
    other = tonumber(other)
    newer = other > micros or (other == micros and tonumber(by) > tonumber(process))
    if newer and live then
      -- The last to arrive stands.
      micros = other + 1
      newer = false
    end
  end
  if not newer then
    local value = text(micros) .. '.' .. process
    if ARGV[at + 3] == '1' then
      value = value .. ' ' .. ARGV[at + 4]
    end
    redis.call('HSET', key, ARGV[at], value)
    changed = true
  end
end
if changed or not live then
  local version = math.max(tonumber(is[1] or '0'), tonumber(ARGV[10])) + (changed and 1 or 0)
  redis.call('HSET', key, 'v', text(version), 'e', text(now), 'b', text(born))
end
redis.call('HSET', key, 's', text(used))
if begins then
  redis.call('HSET', key, 'c', text(created), 'a', text(absolute), 'u', ARGV[8])
end
local idle = tonumber(string.match(redis.call('HGET', key, '.idle') or '', ' (%d+)$') or '0')
local ends = used + idle * 1000
if absolute > 0 then
  ends = math.min(ends, created + absolute * 1000)
end
if ends <= now then
  redis.call('UNLINK', key)
  return answer(0)
end
local ends_ms = math.ceil(ends / 1000)
local function list(key)
  redis.call('ZADD', key, ends_ms, name)
  if redis.call('PTTL', key) < ends_ms - now / 1000 then
    redis.call('PEXPIREAT', key, text(ends_ms))
  end
end
redis.call('PEXPIREAT', key, text(ends_ms))
list(KEYS[2])
if KEYS[3] then
  list(KEYS[4])
  -- It outlives all that it may end.
  local last = math.max(ends_ms, absolute > 0 and (created / 1000 + absolute) or 0)
  if redis.call('PTTL', KEYS[3]) < last - now / 1000 then
    redis.call('PEXPIREAT', KEYS[3], text(last))
  end
end
if brief then
  return {4, text(used)}
end
local spare = {}
if begins then
  for _, key in ipairs({KEYS[2], KEYS[4]}) do
    local over = redis.call('ZRANGE', key, '-inf', '(' .. text(now / 1000), 'BYSCORE', 'LIMIT', 0, 16)
    if #over > 0 then
      redis.call('ZREM', key, unpack(over))
    end
  end
  local most = tonumber(ARGV[9])
  local beyond = most > 0 and redis.call('ZCARD', KEYS[2]) - most or 0
  if beyond > 0 then
    -- Not itself, however soon it ends.
    for _, other_name in ipairs(redis.call('ZRANGE', KEYS[2], 0, math.min(beyond, 16))) do
      if other_name ~= name and #spare < beyond then
        spare[#spare + 1] = other_name
      end
    end
    if #spare > 0 then
      redis.call('ZREM', KEYS[2], unpack(spare))
    end
  end
end
-- That a field was removed has to be known only as long as somebody may bring an older value of it.
if live and redis.call('HLEN', key) > 256 then
  local all = redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    local micros = string.match(all[at + 1], '^(%d+)%.%d+$')
    if micros and string.match(all[at], '^[.:]') and tonumber(micros) < now - 3600000000 then
      redis.call('HDEL', key, all[at])
    end
  end
end
return answer(1, spare)
