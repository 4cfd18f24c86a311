-- KEYS: floor, revocations, born. ARGV: deadline, now.
local floor = redis.call('GET', KEYS[1])
if not floor or tonumber(floor) < now then
  redis.call('SET', KEYS[1], ARGV[2])
end
publish(KEYS[2], KEYS[3], 'floor', ARGV[2])
return 1
