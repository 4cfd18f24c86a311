-- Stands before every script. ARGV[1] is when, by this server's own clock, the caller stops waiting: a server that was
-- frozen finds old commands in its sockets when it goes on, and running a rotation long after its caller has gone would
-- make the caller's next try look like reuse. What is late is not done, and the answer tells the server's time.
local clock = redis.call('TIME')
local server_now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if server_now > tonumber(ARGV[1]) then
  return redis.error_reply(string.format('LATE %.0f', server_now))
end
local now = tonumber(ARGV[2])

-- What has expired is told from `now`; the server's own expiry only tidies up, and is late by a minute, by which the
-- clocks of a fleet may differ.
local function tidy(key, expires_at)
  redis.call('PEXPIRE', key, math.max(expires_at - now, 0) + 60000)
end

-- An index lives as long as the member that lives longest.
local function tidy_index(key)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if last[2] then
    tidy(key, tonumber(last[2]))
  end
end

-- How many wrong tries a subject has had in its day, which begins with the first of them, and when that ends.
local function tries_of(day)
  local found = redis.call('HMGET', day, 'n', 'u')
  if found[1] and tonumber(found[2]) > now then
    return tonumber(found[1]), tonumber(found[2])
  end
  return 0, now + 86400000
end

local function keep_tries(day, tries, ends)
  if tries == 0 then
    redis.call('DEL', day)
  else
    redis.call('HSET', day, 'n', tries, 'u', ends)
    tidy(day, ends)
  end
end

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
