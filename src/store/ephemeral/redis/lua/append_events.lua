-- KEYS: actions, attempts. ARGV: deadline, now, count, keep, then pairs of the number of a stream and an event.
-- The ids of both streams are in one order and never decrease, whatever the clocks of the callers say: a reader that
-- follows both by one position misses none.
local ms, seq = now, -1
for i = 1, 2 do
  local last = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)[1]
  if last then
    local last_ms, last_seq = string.match(last[1], '^(%d+)-(%d+)$')
    last_ms, last_seq = tonumber(last_ms), tonumber(last_seq)
    if last_ms > ms or last_ms == ms and last_seq > seq then
      ms, seq = last_ms, last_seq
    end
  end
end
local written = {}
for i = 5, #ARGV, 2 do
  local stream = KEYS[tonumber(ARGV[i])]
  seq = seq + 1
  redis.call('XADD', stream, 'MAXLEN', ARGV[3], string.format('%.0f-%.0f', ms, seq), 'e', ARGV[i + 1])
  written[stream] = true
end
for stream in pairs(written) do
  redis.call('XTRIM', stream, 'MINID', string.format('%.0f', math.max(now - ARGV[4], 0)))
  set_ttl(stream, math.max(now, ms) + ARGV[4])
end
return 1
