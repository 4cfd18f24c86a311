-- KEYS: index, prefix of session keys. ARGV: deadline, now, ids of sessions whose revocations are published.
for i = 3, #ARGV do
  redis.call('DEL', KEYS[2] .. ARGV[i])
  redis.call('ZREM', KEYS[1], ARGV[i])
end
return 1
