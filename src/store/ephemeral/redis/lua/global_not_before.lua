-- KEYS: global not_before, revocations, stream epoch. ARGV: deadline, now. If the value is missing, the store
-- is new or has lost everything: sets it to `now` and publishes it to the nodes. The stream exists from then on, so
-- a later loss of it can be detected.
local not_before = redis.call('GET', KEYS[1])
if not_before then
  return not_before
end
redis.call('SET', KEYS[1], ARGV[2])
publish(KEYS[2], KEYS[3], 'floor', ARGV[2])
return ARGV[2]
