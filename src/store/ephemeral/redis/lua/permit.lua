-- Takes a permit of a limit and returns 0, or returns the milliseconds until there is one and takes nothing.
-- The generic cell rate algorithm: the key stores the time at which the bucket will be full again, in microseconds.
local function take(key, interval, burst)
  local now_us = now * 1000
  local full_at = math.max(tonumber(redis.call('GET', key) or 0), now_us) + interval
  local wait = full_at - interval * burst - now_us
  if wait > 0 then
    return math.ceil(wait / 1000)
  end
  redis.call('SET', key, full_at, 'PX', ttl_until(math.ceil(full_at / 1000)))
  return 0
end
