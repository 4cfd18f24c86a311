-- KEYS: session, index. ARGV: deadline, now, counter, the one that takes its place (empty: none does), grace, floor.
-- Answers absent, reused, repeated or rotated, the last two with what tokens are made of: counter, opened, when it is over, profile.
-- The hot path: each call of Redis from a script costs more than what it does here, so one reads and one writes.
local s = redis.call('HMGET', KEYS[1], 'c', 'o', 'r', 'i', 'e', 'k', 'p', 'x', 's')
if not s[1] then
  return {'absent'}
end
-- Before all else: until its revocation is published, a reused session is `reused` to whoever asks, expired or not.
if s[8] then
  return {s[8] == 'reused' and 'reused' or 'absent'}
end
local c, r, i, e = tonumber(s[1]), tonumber(s[3]), tonumber(s[4]), tonumber(s[5])
local expires_at = math.min(e, r + i)
if expires_at <= now or tonumber(s[2]) < tonumber(ARGV[6]) then
  return {'absent'}
end

local counter, grace = tonumber(ARGV[3]), tonumber(ARGV[5])
-- By this server's clock too, which is one for all: for a caller whose clock is behind, the grace would last as much longer. And
-- so it would after this one was set back, which may be by no more than clocks may differ (two minutes, `ASTRAY`).
local since = server_now - tonumber(s[9] or server_now)
if counter + 1 == c and grace > 0 and now - r <= grace and since <= grace and since >= -120000 then
  -- Tokens are given once more: an ending of all sessions must reach these too, whatever clock they were made by.
  redis.call('HSET', KEYS[1], 'l', ARGV[2])
  return {'repeated', s[1], s[2], expires_at, s[7]}
elseif counter < c then
  redis.call('HSET', KEYS[1], 'x', 'reused')
  return {'reused'}
elseif ARGV[4] == '' then
  redis.call('HSET', KEYS[1], 'c', ARGV[3], 'u', ARGV[2])
  return {'rotated', ARGV[3], s[2], expires_at, s[7]}
end
expires_at = math.min(e, now + i)
local rotated = string.format('%.0f', server_now)
if expires_at <= tonumber(s[6]) then
  redis.call('HSET', KEYS[1], 'c', ARGV[4], 'u', ARGV[2], 'r', ARGV[2], 's', rotated)
else
  local kept = kept_until(now, i, e)
  redis.call('HSET', KEYS[1], 'c', ARGV[4], 'u', ARGV[2], 'r', ARGV[2], 's', rotated, 'k', string.format('%.0f', kept))
  tidy(KEYS[1], kept)
  redis.call('ZADD', KEYS[2], kept, string.sub(KEYS[1], -36))
  tidy_index(KEYS[2])
end
return {'rotated', ARGV[4], s[2], expires_at, s[7]}
