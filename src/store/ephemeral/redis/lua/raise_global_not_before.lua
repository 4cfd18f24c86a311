-- KEYS: global not_before, revocations, stream epoch. ARGV: deadline, now. The value never decreases.
local not_before = redis.call('GET', KEYS[1])
if not not_before or tonumber(not_before) < now then
  redis.call('SET', KEYS[1], ARGV[2])
end
publish(KEYS[2], KEYS[3], 'floor', ARGV[2])
return 1
