-- KEYS: index, what stands before the id in a session's key. ARGV: deadline, now, ids of sessions whose revocation is out.
for at = 3, #ARGV do
  redis.call('DEL', KEYS[2] .. ARGV[at])
  redis.call('ZREM', KEYS[1], ARGV[at])
end
return 1
