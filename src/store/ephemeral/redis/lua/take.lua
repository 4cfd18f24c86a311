-- KEYS: limit. ARGV: deadline, now, microseconds from one to the next, burst. Answers after how many milliseconds to
-- come back.
-- The generic cell rate algorithm: what is kept is when the bucket will be full again, in microseconds.
local now_us, apart, burst = now * 1000, tonumber(ARGV[3]), tonumber(ARGV[4])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now_us) + apart
local wait = full_at - apart * burst - now_us
if wait > 0 then
  return math.ceil(wait / 1000)
end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', string.format('%.0f', lives(math.ceil(full_at / 1000))))
return 0
