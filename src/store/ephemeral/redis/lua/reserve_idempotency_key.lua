-- KEYS: idempotency key. ARGV: deadline, now, fingerprint, reserved until.
local found = redis.call('HMGET', KEYS[1], 'f', 'r', 'e')
if found[1] and tonumber(found[3]) > now then
  if found[1] ~= ARGV[3] then
    return {'other_request'}
  end
  if found[2] then
    return {'completed', found[2]}
  end
  return {'in_progress'}
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'f', ARGV[3], 'e', ARGV[4])
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[4]) - now, 1))
return {'reserved'}
