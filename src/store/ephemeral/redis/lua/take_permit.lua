-- KEYS: limit. ARGV: deadline, now, microseconds between permits, burst. Returns the milliseconds until the next
-- permit, 0 if this one is granted.
-- The generic cell rate algorithm: the key stores the time at which the bucket will be full again, in microseconds.
local now_us, interval, burst = now * 1000, tonumber(ARGV[3]), tonumber(ARGV[4])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now_us) + interval
local wait = full_at - interval * burst - now_us
if wait > 0 then
  return math.ceil(wait / 1000)
end
local ttl = ttl_until(math.ceil(full_at / 1000))
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', string.format('%.0f', ttl))
return 0
