-- Writes a value that was taken earlier, if nothing newer stands there: a journalled set, or one that
-- was sent on a connection that broke.
-- KEYS: 1 value, 2 side record (same slot)
-- ARGV: 1 stamp in microseconds, 2 stamp's process, 3 envelope, 4 TTL in ms (0 = none),
--       5 mode: newest | overwrite | if-absent, 6 write when absent: 1 | 0
-- Returns: 1 written or already there, 0 something newer stands there, -1 a foreign value stands there,
--          -2 absent and undecidable
local micros = tonumber(ARGV[1])
local process = tonumber(ARGV[2])
local function newer(record, at)
  local other = struct.unpack('>I8', record, at)
  if other ~= micros then
    return other > micros
  end
  return struct.unpack('>I8', record, at + 8) > process
end
local function same(record, at)
  return struct.unpack('>I8', record, at) == micros
    and struct.unpack('>I8', record, at + 8) == process
end
local function write(envelope)
  if ARGV[4] == '0' then
    redis.call('SET', KEYS[1], envelope)
  else
    redis.call('SET', KEYS[1], envelope, 'PX', ARGV[4])
  end
end
local stale = false
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind ~= 'none' and ARGV[5] == 'if-absent' then
  return 0
end
if ARGV[5] == 'newest' then
  if kind ~= 'none' then
    if kind ~= 'string' then
      return -1
    end
    local value = redis.call('GET', KEYS[1])
    if string.byte(value, 1) ~= 246 or string.byte(value, 2) ~= 1 or #value < 42 then
      return -1
    end
    if same(value, 5) then
      return 1
    end
    if newer(value, 5) then
      return 0
    end
    -- It was made stale after this set: so is this one, which takes its place.
    stale = struct.unpack('>I8', value, 29) == 1
  end
  local side = redis.call('GET', KEYS[2])
  if side then
    local at = nil
    if string.byte(side, 1) == 84 then
      at = 2
    elseif #side >= 57 then
      at = 42
    end
    if at and (newer(side, at) or same(side, at)) then
      if stale then
        write(string.sub(ARGV[3], 1, 28) .. struct.pack('>I8', 1) .. string.sub(ARGV[3], 37))
      end
      return 0
    end
  end
  if kind == 'none' and ARGV[6] == '0' then
    return -2
  end
end
write(ARGV[3])
return 1
