-- Scripts compare expiry times with `now`; the server's own TTLs only clean up. They are a minute late, because the
-- clocks of a fleet may differ by as much.
local function ttl_until(expires_at)
  return math.max(expires_at - now, 0) + 60000
end

local function set_ttl(key, expires_at)
  redis.call('PEXPIRE', key, ttl_until(expires_at))
end

-- An index lives as long as its longest-lived member. `expires_at` is the expiry of the member that was just added. To
-- `GT`, a key without a TTL lives forever: an index has none after its first member.
local function extend_index_ttl(key, expires_at)
  local ttl = ttl_until(expires_at)
  if redis.call('PEXPIRE', key, ttl, 'GT') == 0 then
    redis.call('PEXPIRE', key, ttl, 'NX')
  end
end

-- The time until which a session's record and its index entry are kept: its expiry plus an eighth of the idle timeout.
-- The margin saves writes, because a rotation has to move that time only once its own expiry is past it. With an idle
-- timeout of a week and a rotation each quarter of an hour, fewer than one rotation in eighty does. Expiry itself
-- stays exact.
local function kept_until(rotated_at, idle_timeout, ends_at)
  return math.min(ends_at, rotated_at + idle_timeout + math.floor(idle_timeout / 8))
end
