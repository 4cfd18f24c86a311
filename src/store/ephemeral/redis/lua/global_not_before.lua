-- KEYS: global not_before, revocations, stream epoch. ARGV: deadline, now. A store without the value is new or has lost
-- everything, so it is set to `now` and published to the followers. From then on the stream exists, which lets its
-- later loss be told from its never having existed.
local not_before = redis.call('GET', KEYS[1])
if not_before then
  return not_before
end
redis.call('SET', KEYS[1], ARGV[2])
publish(KEYS[2], KEYS[3], 'floor', ARGV[2])
return ARGV[2]
