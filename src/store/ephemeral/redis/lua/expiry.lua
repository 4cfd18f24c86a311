-- Scripts compare expiry times with `now`; the server's own TTLs only clean up. They are a minute late, because the
-- clocks of a fleet may differ by as much.
local function ttl_until(expires_at)
  return math.max(expires_at - now, 0) + 60000
end

local function set_ttl(key, expires_at)
  redis.call('PEXPIRE', key, ttl_until(expires_at))
end

-- An index lives as long as its longest-lived member.
local function set_index_ttl(key)
  local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  if last[2] then
    set_ttl(key, tonumber(last[2]))
  end
end

-- The time until which a session's record and its index entry are kept: its expiry plus an eighth of the idle timeout.
-- The margin saves writes, because a rotation has to move that time only once its own expiry is past it. With an idle
-- timeout of a week and a rotation each quarter of an hour, fewer than one rotation in eighty does. Expiry itself
-- stays exact.
local function kept_until(rotated_at, idle_timeout, ends_at)
  return math.min(ends_at, rotated_at + idle_timeout + math.floor(idle_timeout / 8))
end
