-- KEYS: claim, day. ARGV: deadline, now, digest, wrong tries a day, whether a right one is used up.
local wrong, day_ends = tries_of(KEYS[2])
if wrong >= tonumber(ARGV[4]) then
  return {'capped', day_ends - now}
end
local claim = redis.call('HMGET', KEYS[1], 'd', 'p', 't', 'e')
local tries = tonumber(claim[3] or 0)
if tries <= 0 or tonumber(claim[4]) <= now then
  return {'absent'}
end

-- Counted before compared, so that a script cut short by a full memory has told nothing.
keep_tries(KEYS[2], wrong + 1, day_ends)
redis.call('HSET', KEYS[1], 't', tries - 1)
-- The digest is of a secret the caller cannot choose: how long comparing takes tells nothing of it.
if claim[1] == ARGV[3] then
  if ARGV[5] == '1' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('HSET', KEYS[1], 't', tries)
  end
  keep_tries(KEYS[2], wrong, day_ends)
  return {'redeemed', claim[2]}
end
if tries == 1 then
  redis.call('DEL', KEYS[1])
end
return {'wrong', tries - 1}
