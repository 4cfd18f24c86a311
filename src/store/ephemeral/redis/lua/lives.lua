-- What has expired is told from `now`; the server's own expiry only tidies up, and is late by a minute, by which the
-- clocks of a fleet may differ.
local function lives(expires_at)
  return math.max(expires_at - now, 0) + 60000
end

local function tidy(key, expires_at)
  redis.call('PEXPIRE', key, lives(expires_at))
end

-- An index lives as long as the member that lives longest.
local function tidy_index(key)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if last[2] then
    tidy(key, tonumber(last[2]))
  end
end

-- Until when a session's record and its place in the index are kept. The more its lifetime exceeds what is due, the seldomer a
-- rotation has to move that: an eighth of the idle time, so that of a week's not one rotation in eighty does, if they are a quarter of
-- an hour apart. What is over is over at its own moment all the same.
local function kept_until(rotated_at, idle, ends_at)
  return math.min(ends_at, rotated_at + idle + math.floor(idle / 8))
end
