-- The last id a stream has given, and the first it still holds; `nil` where there is no stream.
local function stream_ends(stream)
  local info = redis.pcall('XINFO', 'STREAM', stream)
  if info.err then
    return nil
  end
  local last, first
  for at = 1, #info, 2 do
    if info[at] == 'last-generated-id' then
      last = info[at + 1]
    elseif info[at] == 'first-entry' and info[at + 1] then
      first = info[at + 1][1]
    end
  end
  return last, first
end

local function id_parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function id_before(one, other)
  local one_ms, one_seq = id_parts(one)
  local other_ms, other_seq = id_parts(other)
  return one_ms < other_ms or one_ms == other_ms and one_seq < other_seq
end

-- Ids carry the moment of publishing by the publishers' clocks (never less than the last), so that forgetting is a cut.
-- `born` tells one stream from the one that comes after a flush.
local function publish(stream, born, target, keep_until)
  local ms, seq = now, 0
  local last = stream_ends(stream)
  if last then
    local last_ms, last_seq = id_parts(last)
    if last_ms >= ms then
      ms, seq = last_ms, last_seq + 1
    end
  else
    redis.call('SET', born, clock[1] .. '.' .. clock[2])
  end
  redis.call('XADD', stream, string.format('%.0f-%.0f', ms, seq), 't', target, 'u', keep_until)
end
