-- KEYS: claim, day. ARGV: deadline, now, digest, wrong tries a day.
local DAY = 86400000
local day = redis.call('HMGET', KEYS[2], 'n', 'u')
local wrong, day_ends = 0, now + DAY
if day[1] and tonumber(day[2]) > now then
  wrong, day_ends = tonumber(day[1]), tonumber(day[2])
end
if wrong >= tonumber(ARGV[4]) then
  return {'capped', day_ends - now}
end
local claim = redis.call('HMGET', KEYS[1], 'd', 'p', 't', 'e')
local tries = tonumber(claim[3] or 0)
if tries <= 0 or tonumber(claim[4]) <= now then
  return {'absent'}
end

-- Counted before compared, so that a script cut short by a full memory has told nothing.
redis.call('HSET', KEYS[2], 'n', wrong + 1, 'u', day_ends)
tidy(KEYS[2], day_ends)
redis.call('HSET', KEYS[1], 't', tries - 1)
-- The digest is of a secret the caller cannot choose: how long comparing takes tells nothing of it.
if claim[1] == ARGV[3] then
  redis.call('DEL', KEYS[1])
  if wrong == 0 then
    redis.call('DEL', KEYS[2])
  else
    redis.call('HSET', KEYS[2], 'n', wrong)
  end
  return {'redeemed', claim[2]}
end
if tries == 1 then
  redis.call('DEL', KEYS[1])
end
return {'wrong', tries - 1}
