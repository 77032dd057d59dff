-- Decides rate limits: for each key all policies of its limiter in one step. The rules stand in backend/rate/state.rs and
-- part.rs, the bytes of a state in code.rs; this does the same, operation by operation, on the server's clock.
-- KEYS: the states, all in one slot, none twice
-- ARGV: 1 the limiter: this process, µs after which nothing counts, µs for which may be taken ahead, number of policies, for each: id (4 bytes), algorithm
--       (0 sliding window, 1 token bucket, 2 fixed window, 3 concurrency), limit, window, step; 2 life of a key in ms;
--       then for each key what is asked of it. 't', number, how many times more may be taken ahead, costs: a take that nothing
--       is to be known of later. Or acts,
--       one after the other: verb (0 take, 1 settle, 2 renew, 3 refund, 4 reset, 5 peek, 6 return), flags (1 it happened already, at
--       its own time, 2 it may have been sent before, 4 it holds, 8 it has costs), number, age in µs, id (8 bytes), µs
--       that it holds, or the time of what is returned, costs. Numbers are floats, little endian
-- Returns: the server's clock in µs, then for each key the outcome of its last act (1 done, 0 refused, 2 known already, more: done,
--          and so many times less 2 taken ahead)
--          and its state
local pack, unpack_bytes, sub, call, floor = struct.pack, struct.unpack, string.sub, redis.call, math.floor
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local process, longest, lease, count, at = unpack_bytes('<dddB', ARGV[1])
local ids, algorithms, limits, windows, steps = {}, {}, {}, {}, {}
for p = 1, count do
  ids[p], algorithms[p], limits[p], windows[p], steps[p], at = unpack_bytes('<c4Bddd', ARGV[1], at)
end
local life = ARGV[2]

local SLACK, KNOWN, MOST_SETTLED, MOST_MARKS, AHEAD_PART = 0.001, 600e6, 256, 7, 64

-- Whatever is asked, on whatever state.
local function decide(key, stored, asked, ahead)
  local parts, reserved, others = {}, {}, {}
  local dies, last, last_number = 0, 0, 0
  local slots = {}
  for p = 1, count do
    slots[ids[p]] = algorithms[p] == 3
  end

  local function read()
    local _, size, marks, held, at
    _, size, marks, held, dies, _, last, last_number, at = unpack_bytes('<BBI2I4dddd', stored)
    for p = 1, size do
      local part = {}
      part.id, part.length, part.used, part.time, part.cost, part.ends, at = unpack_bytes('<c4I4dddd', stored, at)
      parts[p] = part
    end
    for p = 1, size do
      local part, tail = parts[p], {}
      for entry = part.length / 16, 1, -1 do
        local one, other
        if slots[part.id] then
          one, other, at = unpack_bytes('<c8d', stored, at)
          tail[part.length / 16 - entry + 1] = { other, 1, one }
        else
          one, other, at = unpack_bytes('<dd', stored, at)
          tail[entry] = { one, other }
        end
      end
      part.tail = tail
    end
    local stop = at + held
    while at < stop do
      local one, size = { amounts = {} }
      one.id, one.expires, size, one.time, at = unpack_bytes('<c8dBd', stored, at)
      one.settled = size == 255
      for amount = 1, one.settled and 0 or size do
        local id, much
        id, much, at = unpack_bytes('<c4d', stored, at)
        one.amounts[amount] = { id, much }
      end
      reserved[#reserved + 1] = one
    end
    for mark = 1, marks do
      local by, number
      by, number, at = unpack_bytes('<dd', stored, at)
      others[mark] = { by, number }
    end
  end

  local function encode()
    local held, wakes = {}, 0
    for _, one in ipairs(reserved) do
      held[#held + 1] = pack('<c8dBd', one.id, one.expires, one.settled and 255 or #one.amounts, one.time)
      for _, amount in ipairs(one.amounts) do
        held[#held + 1] = pack('<c4d', amount[1], amount[2])
      end
      if wakes == 0 or one.expires < wakes then wakes = one.expires end
    end
    held = table.concat(held)
    local out = { pack('<BBI2I4dddd', 1, #parts, #others, #held, dies, wakes, last, last_number) }
    for _, part in ipairs(parts) do
      out[#out + 1] = pack('<c4I4dddd', part.id, #part.tail * 16, part.used, part.time, part.cost, part.ends)
    end
    for _, part in ipairs(parts) do
      if slots[part.id] then
        for _, slot in ipairs(part.tail) do out[#out + 1] = pack('<c8d', slot[3], slot[1]) end
      else
        for entry = #part.tail, 1, -1 do out[#out + 1] = pack('<dd', part.tail[entry][1], part.tail[entry][2]) end
      end
    end
    out[#out + 1] = held
    for _, mark in ipairs(others) do out[#out + 1] = pack('<dd', mark[1], mark[2]) end
    return table.concat(out)
  end

  local function empty(part)
    part.used, part.time, part.cost, part.ends, part.tail = 0, 0, 0, 0, {}
  end

  local function forget_until(part, since)
    if part.time <= since then return empty(part) end
    while part.tail[1] and part.tail[1][1] <= since do
      part.used = part.used - part.tail[1][2]
      table.remove(part.tail, 1)
    end
  end

  local function count_slots(part)
    part.used, part.ends = 0, 0
    for _, slot in ipairs(part.tail) do
      part.used = part.used + 1
      if slot[1] > part.ends then part.ends = slot[1] end
    end
  end

  local function reduce_newest(part, amount)
    local some = math.min(part.cost, amount)
    part.cost, part.used = part.cost - some, part.used - some
    if part.cost <= 0 then
      local newest = table.remove(part.tail) or { 0, 0 }
      part.time, part.cost = newest[1], newest[2]
    end
  end

  local function level(part, at)
    return math.max(part.used - (at - part.time), 0)
  end

  local function pour_back(p, amount)
    local part = parts[p]
    part.used = math.max(part.used - amount * steps[p], 0)
    if part.used > 0 then part.ends = part.time + part.used else part.time, part.ends = 0, 0 end
  end

  local function give_back(p, amount, time)
    local part, algorithm = parts[p], algorithms[p]
    if algorithm == 0 then
      local left, latest = amount, time + 2 * steps[p]
      local entry = 1
      while left > 0 and part.tail[entry] do
        local taken = part.tail[entry]
        if taken[1] >= time and taken[1] <= latest then
          local some = math.min(taken[2], left)
          left, taken[2], part.used = left - some, taken[2] - some, part.used - some
          if taken[2] <= 0 then table.remove(part.tail, entry) else entry = entry + 1 end
        else
          entry = entry + 1
        end
      end
      if left > 0 and part.time >= time and part.time <= latest then reduce_newest(part, left) end
      part.ends = part.cost > 0 and part.time + windows[p] or 0
    elseif algorithm == 2 and part.ends > 0 and time >= part.ends - windows[p] then
      part.used = math.max(part.used - amount, 0)
    elseif algorithm == 1 then
      pour_back(p, amount)
    end
  end

  local function advance_part(p)
    local part, algorithm = parts[p], algorithms[p]
    if algorithm == 0 then
      forget_until(part, now - windows[p])
    elseif algorithm ~= 3 then
      if part.ends <= now then part.used, part.time, part.ends = 0, 0, 0 end
    else
      local kept = {}
      for _, slot in ipairs(part.tail) do
        if slot[1] > now then kept[#kept + 1] = slot end
      end
      part.tail = kept
      count_slots(part)
    end
  end

  local function advance()
    local old = parts
    parts = {}
    for p = 1, count do
      for other, part in ipairs(old) do
        if part.id == ids[p] then
          parts[p] = table.remove(old, other)
          break
        end
      end
      parts[p] = parts[p] or { id = ids[p], used = 0, time = 0, cost = 0, ends = 0, tail = {} }
    end
    for _, part in ipairs(old) do
      if part.ends > now then parts[#parts + 1] = part end
    end
    local kept, over = {}, {}
    for _, one in ipairs(reserved) do
      if one.expires > now then kept[#kept + 1] = one else over[#over + 1] = one end
    end
    reserved = kept
    for _, one in ipairs(over) do
      for _, amount in ipairs(one.amounts) do
        for p = 1, count do
          if ids[p] == amount[1] then give_back(p, amount[2], one.time) end
        end
      end
    end
    for p = 1, count do advance_part(p) end
  end

  local function fits(p, cost)
    if cost <= 0 then return true end
    if algorithms[p] == 1 then
      return level(parts[p], now) + cost * steps[p] - limits[p] * steps[p] - SLACK <= 0
    end
    return parts[p].used + cost - limits[p] <= 0
  end

  local function same_grain(p, one, other)
    local step = steps[p]
    if step <= 0 then return false end
    return one - one % step == other - other % step
  end

  local function enter(p, cost, at)
    local part = parts[p]
    if part.cost == 0 then
      part.time, part.cost = at, cost
    elseif same_grain(p, part.time, at) then
      part.time, part.cost = math.max(part.time, at), part.cost + cost
    elseif at >= part.time then
      part.tail[#part.tail + 1] = { part.time, part.cost }
      part.time, part.cost = at, cost
    else
      local after = 1
      for entry = #part.tail, 1, -1 do
        if part.tail[entry][1] <= at then after = entry + 1 break end
      end
      local newer, older = part.tail[after], part.tail[after - 1]
      if newer and same_grain(p, newer[1], at) then
        newer[2] = newer[2] + cost
      elseif older and same_grain(p, older[1], at) then
        older[1], older[2] = at, older[2] + cost
      else
        table.insert(part.tail, after, { at, cost })
      end
    end
  end

  local function add(p, cost, at)
    local part, algorithm, window = parts[p], algorithms[p], windows[p]
    if cost <= 0 then return end
    if algorithm == 0 then
      if at > now - window then
        enter(p, cost, at)
        part.used = part.used + cost
        part.ends = part.time + window
      end
    elseif algorithm == 1 then
      if at >= part.time then part.used, part.time = level(part, at), at end
      local most, used = limits[p] * steps[p] + (now - part.time), part.used + cost * steps[p]
      part.used = used - most > SLACK and most or used
      part.ends = part.time + part.used
    elseif algorithm == 2 then
      if part.ends == 0 then
        if at + window > now then part.used, part.ends = cost, at + window end
      elseif at + window > now then
        part.used = part.used + cost
      end
    end
  end

  local function hold_slot(p, id, until_, only_kept)
    for _, slot in ipairs(parts[p].tail) do
      if slot[3] == id then
        slot[1] = until_
        count_slots(parts[p])
        return true
      end
    end
    if only_kept then return false end
    table.insert(parts[p].tail, { until_, 1, id })
    count_slots(parts[p])
    return true
  end

  -- What was taken ahead may stand in the time to come.
  local function when(p, at, forced)
    if algorithms[p] == 0 and not forced then return math.max(at, parts[p].time) end
    return at
  end

  local function take_ahead(costs)
    local times, free = ahead, true
    for p = 1, count do
      if costs[p] > 0 then
        times, free = math.min(times, floor((limits[p] - parts[p].used) / AHEAD_PART / costs[p])), false
      end
    end
    if times < 1 or lease <= 0 or free then return 0 end
    for p = 1, count do
      if costs[p] > 0 then
        add(p, costs[p] * times, algorithms[p] == 0 and math.max(parts[p].time, now + lease) or now)
      end
    end
    return times
  end

  local function take(costs, forced, at, id, lasts)
    for _, one in ipairs(reserved) do
      if id and one.id == id then return 2 end
    end
    if not forced then
      for p = 1, count do
        if not fits(p, costs[p]) then return 0 end
      end
    end
    local amounts = {}
    for p = 1, count do
      if costs[p] > 0 then
        if algorithms[p] ~= 3 then
          add(p, costs[p], when(p, at, forced))
          amounts[#amounts + 1] = { ids[p], costs[p] }
        elseif id and at + lasts > now then
          hold_slot(p, id, at + lasts)
        end
      end
    end
    if id and #amounts > 0 then
      if at + lasts > now then
        reserved[#reserved + 1] = { id = id, expires = at + lasts, time = at, amounts = amounts }
      else
        for _, amount in ipairs(amounts) do
          for p = 1, count do
            if ids[p] == amount[1] then give_back(p, amount[2], at) end
          end
        end
      end
    end
    return 1
  end

  local function settle(id, costs, at, forced)
    local outcome = 2
    for p = 1, count do
      if algorithms[p] == 3 then
        local kept = {}
        for _, slot in ipairs(parts[p].tail) do
          if slot[3] == id then outcome = 1 else kept[#kept + 1] = slot end
        end
        parts[p].tail = kept
        count_slots(parts[p])
      end
    end
    local taken = nil
    for place, one in ipairs(reserved) do
      if one.id == id then
        if one.settled then return outcome end
        taken = table.remove(reserved, place)
        break
      end
    end
    if not taken and not costs then return outcome end
    for p = 1, count do
      if algorithms[p] ~= 3 then
        local held, cost = 0, costs and costs[p] or 0
        for _, amount in ipairs(taken and taken.amounts or {}) do
          if amount[1] == ids[p] then held = amount[2] break end
        end
        if cost < held then
          give_back(p, held - cost, taken.time)
        else
          add(p, cost - held, when(p, at, forced))
        end
      end
    end
    local settled, oldest = 1, nil
    for place, one in ipairs(reserved) do
      if one.settled then
        settled = settled + 1
        oldest = oldest or place
      end
    end
    reserved[#reserved + 1] =
      { id = id, expires = now + math.min(longest, KNOWN), time = now, amounts = {}, settled = true }
    if settled > MOST_SETTLED then table.remove(reserved, oldest) end
    return 1
  end

  local function renew(id, lasts, forced, at)
    local stood = false
    for p = 1, count do
      if algorithms[p] == 3 then
        local may = (forced and at + lasts > now) or (not forced and fits(p, 1))
        stood = hold_slot(p, id, at + lasts, not may) or stood
      end
    end
    for _, one in ipairs(reserved) do
      if one.id == id and not one.settled then
        one.expires = at + lasts
        stood = true
      end
    end
    return stood and 1 or 0
  end

  local function refund(costs, until_)
    for p = 1, count do
      local part, algorithm, amount = parts[p], algorithms[p], costs[p]
      if amount > 0 then
        if algorithm == 0 then
          while amount > 0 and part.cost > 0 and part.time <= until_ do
            local some = math.min(part.cost, amount)
            amount = amount - some
            reduce_newest(part, some)
          end
          local entry = #part.tail
          while amount > 0 and entry > 0 do
            local taken = part.tail[entry]
            if taken[1] <= until_ then
              local some = math.min(taken[2], amount)
              amount, taken[2], part.used = amount - some, taken[2] - some, part.used - some
              if taken[2] <= 0 then table.remove(part.tail, entry) end
            end
            entry = entry - 1
          end
          part.ends = part.cost > 0 and part.time + windows[p] or 0
        elseif algorithm == 2 and until_ >= part.ends - windows[p] then
          part.used = math.max(part.used - amount, 0)
        elseif algorithm == 1 and until_ > now - limits[p] * steps[p] then
          pour_back(p, amount)
        end
      end
    end
    return 1
  end

  local function give_unused_back(costs, time)
    for p = 1, count do
      give_back(p, costs[p], time)
      advance_part(p)
    end
    return 1
  end

  local function reset(at)
    local kept = {}
    for _, one in ipairs(reserved) do
      if one.settled then kept[#kept + 1] = one end
    end
    reserved = kept
    for p = 1, count do
      if algorithms[p] == 0 then
        forget_until(parts[p], at)
      elseif algorithms[p] ~= 3 then
        empty(parts[p])
      end
      advance_part(p)
    end
    return 1
  end

  local function knows(number)
    if last == process then return last_number >= number end
    for _, mark in ipairs(others) do
      if mark[1] == process then return mark[2] >= number end
    end
    return false
  end

  local function note(number)
    if last == process then
      last_number = math.max(last_number, number)
      return
    end
    for place, mark in ipairs(others) do
      if mark[1] == process then
        number = math.max(number, mark[2])
        table.remove(others, place)
        break
      end
    end
    if last > 0 then
      table.insert(others, 1, { last, last_number })
      others[MOST_MARKS + 1] = nil
    end
    last, last_number = process, number
  end

  if stored then read() end
  local outcome, changed, granted = 1, false, 0
  local from = 1
  while from <= #asked do
    local verb, flags, number, age, id, lasts
    verb, flags, number, age, id, lasts, from = unpack_bytes('<BBddc8d', asked, from)
    local forced, again, holds, priced =
      flags % 2 == 1, floor(flags / 2) % 2 == 1, floor(flags / 4) % 2 == 1, floor(flags / 8) % 2 == 1
    local costs = {}
    for p = 1, count do
      costs[p], from = unpack_bytes('<d', asked, from)
    end
    local at = forced and now - age or now
    advance()
    if again and knows(number) then
      outcome = 2
    else
      if verb == 0 then
        outcome = take(costs, forced, at, holds and id or nil, lasts)
        if outcome == 1 and ahead > 0 then granted = take_ahead(costs) end
      elseif verb == 1 then
        outcome = settle(id, priced and costs or nil, at, forced)
      elseif verb == 2 then
        outcome = renew(id, lasts, forced, at)
      elseif verb == 3 then
        outcome = refund(costs, forced and at or math.huge)
      elseif verb == 4 then
        outcome = reset(forced and at or math.huge)
      elseif verb == 6 then
        outcome = give_unused_back(costs, lasts)
      end
      if verb ~= 5 and outcome == 1 then
        note(number)
        changed = true
      end
    end
  end
  if not changed then return outcome, stored or '' end
  local keeps = stored and dies >= now + longest
  if not keeps then dies = now + life * 1000 end
  local needs = 0
  for _, part in ipairs(parts) do needs = math.max(needs, part.ends) end
  for _, one in ipairs(reserved) do needs = math.max(needs, one.expires) end
  if dies < needs then
    dies, keeps = needs, false
  end
  local state = encode()
  if keeps then
    call('SET', key, state, 'KEEPTTL')
  else
    call('PSETEX', key, string.format('%.0f', math.max(math.ceil((dies - now) / 1000), 1)), state)
  end
  return granted > 0 and granted + 2 or outcome, state
end

-- The way of most: a take that nothing is to be known of later, on a state of just these policies that this process wrote
-- last and of which nothing reserved is over. Answers nothing where that is not so.
local head = '<BBI2I4dddd' .. string.rep('c4I4dddd', count)
local all_costs = '<' .. string.rep('d', count)
local first_tail = 41 + 40 * count
local width = 8 + 6 * count
-- Tables cost as much as all else together: those of the key before are used again.
local tails, stay, starts = {}, {}, {}
local costs, costs_of = nil, nil
local function take_plainly(key, stored, asked)
  local number, ahead = unpack_bytes('<dd', asked, 2)
  local charged = sub(asked, 18)
  if charged ~= costs_of then costs, costs_of = { unpack_bytes(all_costs, charged) }, charged end
  local state
  if stored then
    if string.byte(stored, 2) ~= count then return nil end
    state = { unpack_bytes(head, stored) }
    if state[7] ~= process or (state[4] > 0 and state[6] <= now) then return nil end
  else
    state = { 1, count, 0, 0, 0, 0, process, 0 }
    for p = 1, count do
      local k = 3 + 6 * p
      state[k], state[k + 1], state[k + 2], state[k + 3], state[k + 4], state[k + 5] = ids[p], 0, 0, 0, 0, 0
    end
  end
  local tail_at = first_tail
  for p = 1, count do
    local k = 3 + 6 * p
    if state[k] ~= ids[p] then return nil end
    local algorithm, cost, length = algorithms[p], costs[p], state[k + 1]
    local added = nil
    tails[p], stay[p] = nil, nil
    if algorithm == 0 then
      local since, used, newest = now - windows[p], state[k + 2], state[k + 3]
      local stays = length
      if newest <= since then
        used, newest, stays = 0, 0, 0
      else
        while stays > 0 do
          local taken, much = unpack_bytes('<dd', stored, tail_at + stays - 16)
          if taken > since then break end
          used, stays = used - much, stays - 16
        end
      end
      if cost > 0 then
        used = used + cost
        if used - limits[p] > 0 then return 0, stored or '' end
        local before = newest > 0 and state[k + 4] or 0
        local at = math.max(now, newest)
        if before > 0 then
          local step = steps[p]
          if step > 0 and newest - newest % step == at - at % step then
            cost = cost + before
          else
            added = pack('<dd', newest, before)
          end
        end
        newest = at
        state[k + 4], state[k + 5] = cost, at + windows[p]
      elseif newest == 0 then
        state[k + 4], state[k + 5] = 0, 0
      end
      state[k + 2], state[k + 3] = used, newest
      tails[p], stay[p], starts[p] = added, stays, tail_at
    elseif algorithm == 1 then
      if state[k + 5] <= now then state[k + 2], state[k + 3], state[k + 5] = 0, 0, 0 end
      if cost > 0 then
        local level, most = math.max(state[k + 2] - (now - state[k + 3]), 0), limits[p] * steps[p]
        local used = level + cost * steps[p]
        if used - most - SLACK > 0 then return 0, stored or '' end
        if used - most > SLACK then used = most end
        state[k + 2], state[k + 3], state[k + 5] = used, now, now + used
      end
    elseif algorithm == 2 then
      local used, ends = state[k + 2], state[k + 5]
      if ends <= now then used, ends, state[k + 3] = 0, 0, 0 end
      if cost > 0 then
        if used + cost - limits[p] > 0 then return 0, stored or '' end
        if ends == 0 then used, ends = cost, now + windows[p] else used = used + cost end
      end
      state[k + 2], state[k + 5] = used, ends
    else
      return nil
    end
    tail_at = tail_at + length
  end
  if ahead > 0 then
    local free = true
    for p = 1, count do
      local cost = costs[p]
      if cost > 0 then
        ahead, free = math.min(ahead, floor((limits[p] - state[5 + 6 * p]) / AHEAD_PART / cost)), false
      end
    end
    if ahead < 1 or lease <= 0 or free then ahead = 0 end
    for p = 1, count do
      local k, more = 3 + 6 * p, costs[p] * ahead
      if more > 0 then
        state[k + 2] = state[k + 2] + more
        if algorithms[p] == 0 then
          local step, newest = steps[p], state[k + 3]
          local at = math.max(newest, now + lease)
          if step > 0 and at - at % step == newest - newest % step then
            state[k + 4] = state[k + 4] + more
          else
            tails[p] = pack('<dd', newest, state[k + 4]) .. (tails[p] or '')
            state[k + 4] = more
          end
          state[k + 3], state[k + 5] = at, at + windows[p]
        end
      end
    end
  end
  local moved = false
  for p = 1, count do
    local k = 3 + 6 * p
    if stay[p] and (tails[p] or stay[p] < state[k + 1]) then
      local first = tails[p] or ''
      moved = true
      tails[p] = first .. sub(stored or '', starts[p], starts[p] + stay[p] - 1)
      state[k + 1] = stay[p] + #first
    else
      tails[p] = nil
    end
  end
  local keeps = state[5] >= now + longest
  if not keeps then state[5] = now + life * 1000 end
  state[8] = number > state[8] and number or state[8]
  local written = pack(head, unpack(state, 1, width))
  if moved then
    local out, at = { written }, first_tail
    for p = 1, count do
      local length = stored and unpack_bytes('<I4', stored, 45 + 40 * (p - 1)) or 0
      out[#out + 1] = tails[p] or sub(stored or '', at, at + length - 1)
      at = at + length
    end
    if stored then out[#out + 1] = sub(stored, at) end
    written = table.concat(out)
  elseif stored and #stored >= first_tail then
    written = written .. sub(stored, first_tail)
  end
  if keeps then
    call('SET', key, written, 'KEEPTTL')
  else
    call('PSETEX', key, life, written)
  end
  return ahead > 0 and ahead + 2 or 1, written
end

-- The same for a limiter of one policy, which most are: without tables, which cost as much as all else together.
local one_head = '<BBI2I4ddddc4I4dddd'
local one_id, one_kind, one_limit, one_window, one_step = ids[1], algorithms[1], limits[1], windows[1], steps[1]
local one_grain = one_step > 0 and now - now % one_step or 0
local function take_one(key, stored, asked)
  local number, ahead, cost = unpack_bytes('<ddd', asked, 2)
  if cost == 0 or one_kind == 3 then return nil end
  local head, size, marks, held, dies, wakes, last, last_number, id, length, used, taken, before, ends
  if stored then
    if string.byte(stored, 2) ~= 1 then return nil end
    head, size, marks, held, dies, wakes, last, last_number, id, length, used, taken, before, ends =
      unpack_bytes(one_head, stored)
    if last ~= process or id ~= one_id or (held > 0 and wakes <= now) then return nil end
    if number > last_number then last_number = number end
    if ends <= now then
      if length > 0 then return nil end
      used, taken, before, ends = 0, 0, 0, 0
    end
  else
    marks, held, dies, wakes, last_number, length, used, taken, before, ends = 0, 0, 0, 0, number, 0, 0, 0, 0, 0
  end
  local rest = ''
  local size_of_stored = stored and #stored or 0
  if one_kind == 0 then
    local stays = length
    local since = now - one_window
    local at, grain = now, one_grain
    if taken > now then at, grain = taken, taken - taken % one_step end
    while stays > 0 do
      local oldest, much = unpack_bytes('<dd', stored, 65 + stays)
      if oldest > since then break end
      used, stays = used - much, stays - 16
    end
    used = used + cost
    if used - one_limit > 0 then return 0, stored or '' end
    if before > 0 then
      if one_step > 0 and taken - taken % one_step == grain then
        before = before + cost
        if stays < length then
          rest = sub(stored, 81, 80 + stays) .. sub(stored, 81 + length)
        elseif size_of_stored > 80 then
          rest = sub(stored, 81)
        end
        length = stays
      else
        rest = pack('<dd', taken, before) .. sub(stored, 81, 80 + stays)
        if size_of_stored > 80 + length then rest = rest .. sub(stored, 81 + length) end
        length, before = stays + 16, cost
      end
    else
      before = cost
      if size_of_stored > 80 then rest = sub(stored, 81) end
    end
    taken, ends = at, at + one_window
    if ahead > 0 then
      ahead = math.min(ahead, floor((one_limit - used) / AHEAD_PART / cost))
      if ahead >= 1 and lease > 0 then
        at = math.max(at, now + lease)
        if one_step > 0 and at - at % one_step == taken - taken % one_step then
          before = before + cost * ahead
        else
          rest = pack('<dd', taken, before) .. rest
          length, before = length + 16, cost * ahead
        end
        used, taken, ends = used + cost * ahead, at, at + one_window
      else
        ahead = 0
      end
    end
  else
    if one_kind == 1 then
      local level, most = used - (now - taken), one_limit * one_step
      if level < 0 then level = 0 end
      used = level + cost * one_step
      if used - most - SLACK > 0 then return 0, stored or '' end
      if used - most > SLACK then used = most end
      taken, ends = now, now + used
    elseif ends == 0 then
      if cost - one_limit > 0 then return 0, stored or '' end
      used, ends = cost, now + one_window
    else
      if used + cost - one_limit > 0 then return 0, stored or '' end
      used = used + cost
    end
    if size_of_stored > 80 then rest = sub(stored, 81) end
    if ahead > 0 then
      ahead = math.min(ahead, floor((one_limit - used) / AHEAD_PART / cost))
      if ahead >= 1 and lease > 0 and one_kind == 2 then used = used + cost * ahead else ahead = 0 end
    end
  end
  local keeps = dies >= now + longest
  if not keeps then dies = now + life * 1000 end
  local written =
    pack(one_head, 1, 1, marks, held, dies, wakes, process, last_number, one_id, length, used, taken, before, ends)
  if rest ~= '' then written = written .. rest end
  if keeps then
    call('SET', key, written, 'KEEPTTL')
  else
    call('PSETEX', key, life, written)
  end
  return ahead > 0 and ahead + 2 or 1, written
end

local answers = { now }
local place = 1
local all = call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  local key, asked, stored = KEYS[i], ARGV[i + 2], all[i]
  -- What nobody wrote down so says nothing.
  if stored and (#stored < 40 or string.byte(stored) ~= 1) then stored = nil end
  local outcome, state
  local ahead = 0
  if string.byte(asked) == 116 then
    local number
    number, ahead = unpack_bytes('<dd', asked, 2)
    if count == 1 then
      outcome, state = take_one(key, stored, asked)
    else
      outcome, state = take_plainly(key, stored, asked)
    end
    if not outcome then
      asked = pack('<BBddc8d', 0, 0, number, 0, string.rep('\0', 8), 0) .. sub(asked, 18)
    end
  end
  if not outcome then
    outcome, state = decide(key, stored, asked, ahead)
  end
  answers[place + 1], answers[place + 2] = outcome, state
  place = place + 2
end
return answers
