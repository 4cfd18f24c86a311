-- KEYS: claim, day. ARGV: deadline, now, digest, wrong attempts a day, what a correct attempt does with the claim: keep
-- or hold.
local wrong, day_ends = read_attempts(KEYS[2])
if wrong >= tonumber(ARGV[4]) then
  return {'capped', day_ends - now}
end
local claim = redis.call('HMGET', KEYS[1], 'd', 'p', 't', 'e')
local attempts = tonumber(claim[3] or 0)
if attempts <= 0 or tonumber(claim[4]) <= now then
  return {'not_found'}
end

-- Counts before comparing, so that a script that full memory cuts short has revealed nothing.
write_attempts(KEYS[2], wrong + 1, day_ends)
redis.call('HSET', KEYS[1], 't', attempts - 1)
-- The caller cannot choose the digest, so the time that the comparison takes reveals nothing of the secret.
if claim[1] == ARGV[3] then
  if ARGV[5] == 'hold' then
    -- Scripts of older nodes do not find such a claim either.
    redis.call('HSET', KEYS[1], 't', -attempts)
  else
    redis.call('HSET', KEYS[1], 't', attempts)
  end
  write_attempts(KEYS[2], wrong, day_ends)
  return {'redeemed', claim[2]}
end
if attempts == 1 then
  redis.call('DEL', KEYS[1])
end
return {'wrong', attempts - 1}
