-- KEYS: revocations, stream epoch. ARGV: deadline, now, then pairs of a target and the expiry of its revocation.
for i = 3, #ARGV, 2 do
  publish(KEYS[1], KEYS[2], ARGV[i], ARGV[i + 1])
end
return 1
