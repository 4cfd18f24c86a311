-- Returns the last id that a stream has generated and the id of its first entry; `nil` if there is no stream.
local function stream_ends(stream)
  local info = redis.pcall('XINFO', 'STREAM', stream)
  if info.err then
    return nil
  end
  local last, first
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = info[i + 1]
    elseif info[i] == 'first-entry' and info[i + 1] then
      first = info[i + 1][1]
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

-- Ids contain the publishing time by the publishers' clocks, but never decrease, so that forgetting old entries is one
-- trim. The epoch distinguishes a stream from the one that is created after a flush.
local function publish(stream, epoch, target, expires_at)
  local ms, seq = now, 0
  local last = stream_ends(stream)
  if last then
    local last_ms, last_seq = id_parts(last)
    if last_ms >= ms then
      ms, seq = last_ms, last_seq + 1
    end
  else
    redis.call('SET', epoch, clock[1] .. '.' .. clock[2])
  end
  redis.call('XADD', stream, string.format('%.0f-%.0f', ms, seq), 't', target, 'u', expires_at)
end
