-- Publishes a message and keeps it in its channel's stream.
-- KEYS: 1 stream
-- ARGV: 1 channel, 2 the message without its first brace, 3 what is put in front of it, 4 how long the stream lives, ms,
--       5 how many are kept, about, 6 publish | spublish
-- Returns: the entry's id
-- What is marked may have been kept before, by a call whose answer was lost. A message's id ends in its sender and its
-- number there, base 36, and those of a sender are kept in their order: the sender's last entry says whether it was.
-- An id is 'began-number': when the stream began, and the message's number in it, without gaps: so whoever has seen one
-- knows how many he has missed.
-- The sender's last entry is mostly the channel's: few are looked at first.
local SENDER, FEW, PAGE, PAGES = 12, 8, 100, 10
local mark = ARGV[3]

local function sent_as(message)
  local rest = string.match(message, '^"id":"%d+%-(%w+)"')
  if rest then return string.sub(rest, 1, SENDER), tonumber(string.sub(rest, SENDER + 1), 36) end
end

local function kept_before()
  local sender, number = sent_as(ARGV[2])
  local before = '+'
  for page = 0, number and PAGES or -1 do
    local most = page == 0 and FEW or PAGE
    local entries = redis.call('XREVRANGE', KEYS[1], before, '-', 'COUNT', most)
    -- A little out of order they may be, where some were refused or went by another connection.
    local is_passed = false
    for _, entry in ipairs(entries) do
      local message = entry[2][2]
      if string.sub(message, 1, #mark) == mark then message = string.sub(message, #mark + 1) end
      local other, count = sent_as(message)
      if other == sender and count == number then return entry[1] end
      is_passed = is_passed or (other == sender and count and count < number)
    end
    if is_passed or #entries < most then return false end
    before = '(' .. entries[#entries][1]
  end
  return false
end

local known = mark ~= '' and kept_before()
if known then return known end

local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local id
if last then
  local began, number = string.match(last[1], '^(%d+)-(%d+)$')
  id = began .. '-' .. string.format('%.0f', tonumber(number) + 1)
else
  local time = redis.call('TIME')
  id = time[1] .. string.format('%06d', tonumber(time[2])) .. '-1'
end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], id, 'm', mark .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call(ARGV[6], ARGV[1], '{"seq":"' .. id .. '",' .. mark .. ARGV[2])
return id
