-- KEYS: session, index. ARGV: deadline, now, session id, counter, rotate, grace, floor.
-- Answers absent, over by reuse, repeated or rotated, the last two with the session.
local s = redis.call('HMGET', KEYS[1], 'c', 'o', 'u', 'r', 'i', 'e', 'd', 'a', 'g', 'p', 'x')
if not s[1] then
  return {'absent'}
end
-- Before all else: until its revocation is published, a reused session is `reused` to whoever asks, expired or not.
if s[11] then
  return {s[11] == 'reused' and 'reused' or 'absent'}
end
local c, o, r, i, e = tonumber(s[1]), tonumber(s[2]), tonumber(s[4]), tonumber(s[5]), tonumber(s[6])
if math.min(e, r + i) <= now or o < tonumber(ARGV[7]) then
  return {'absent'}
end

local counter, kind, grace = tonumber(ARGV[4]), 'rotated', tonumber(ARGV[6])
if counter + 1 == c and grace > 0 and now - r <= grace then
  -- Tokens are given once more: an ending of all sessions must reach these too, whatever clock they were made by.
  redis.call('HSET', KEYS[1], 'l', math.max(now, tonumber(s[3])))
  kind = 'repeated'
elseif counter < c then
  redis.call('HSET', KEYS[1], 'x', 'reused')
  return {'reused'}
elseif ARGV[5] == '1' then
  c, r = counter + 1, now
  redis.call('HSET', KEYS[1], 'c', string.format('%.0f', c), 'u', now, 'r', now)
  local expires_at = math.min(e, r + i)
  tidy(KEYS[1], expires_at)
  redis.call('ZADD', KEYS[2], expires_at, ARGV[3])
  tidy_index(KEYS[2])
  s[3], s[4] = now, now
else
  c = counter
  redis.call('HSET', KEYS[1], 'c', ARGV[4], 'u', now)
  s[3] = now
end
s[1], s[11] = c, nil
return {kind, unpack(s, 1, 10)}
