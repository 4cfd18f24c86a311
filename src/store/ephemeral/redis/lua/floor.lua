-- KEYS: floor, revocations, born. ARGV: deadline, now. A store without a floor is new, or has lost all: its followers
-- hear of the new one, and from then on there is a stream, so that its loss can be told from its never having been.
local floor = redis.call('GET', KEYS[1])
if floor then
  return floor
end
redis.call('SET', KEYS[1], ARGV[2])
publish(KEYS[2], KEYS[3], 'floor', ARGV[2])
return ARGV[2]
