-- KEYS: actions, attempts, and in the list of the fleet privileged events. ARGV: deadline, now, count, keep, then pairs
-- of the number of a stream and an event.
-- The ids of all streams are in one order and never decrease, whatever the clocks of the callers say: a reader that
-- follows them by one position misses none.
local ms, seq = now, -1
for i = 1, #KEYS do
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
local function append(stream, event)
  redis.call('XADD', stream, 'MAXLEN', ARGV[3], string.format('%.0f-%.0f', ms, seq), 'e', event)
  written[stream] = true
end
for i = 5, #ARGV, 2 do
  local number = tonumber(ARGV[i])
  seq = seq + 1
  append(KEYS[number], ARGV[i + 1])
  -- A privileged event is an action too.
  if number == 3 then
    append(KEYS[1], ARGV[i + 1])
  end
end
for stream in pairs(written) do
  redis.call('XTRIM', stream, 'MINID', string.format('%.0f', math.max(now - ARGV[4], 0)))
  set_ttl(stream, math.max(now, ms) + ARGV[4])
end
return 1
