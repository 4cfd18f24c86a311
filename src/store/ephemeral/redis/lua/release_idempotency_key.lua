-- KEYS: idempotency key. ARGV: deadline, now, fingerprint.
local found = redis.call('HMGET', KEYS[1], 'f', 'r')
if found[1] == ARGV[3] and not found[2] then
  redis.call('DEL', KEYS[1])
end
return 1
