-- KEYS: session, index. ARGV: deadline, now, counter, the next counter (empty: do not rotate), grace, not_before, the
-- dialects whose sessions are accepted, those whose sessions' claims must contain a text, the text. Dialects are `*` or
-- `,a,b,`. Returns not_found, reused, requirement_unmet, replayed or rotated, the last two with the session's snapshot:
-- counter, opened_at, expires_at, claims, auth_time (opened_at for a session that an older build opened), custom claims
-- (empty if there are none). This is the hot path, and a script's call of Redis costs more than all of the Lua here: one call reads and one writes.
local s = redis.call('HMGET', KEYS[1], 'c', 'o', 'r', 'i', 'e', 'k', 'p', 'x', 's', 't', 'd', 'm')
if not s[1] then
  return {'not_found'}
end
-- Checked first, because a reused session, expired or not, is `reused` to every caller until its revocation is
-- published.
if s[8] then
  return {s[8] == 'reused' and 'reused' or 'not_found'}
end
local c, r, i, e = tonumber(s[1]), tonumber(s[3]), tonumber(s[4]), tonumber(s[5])
local expires_at = math.min(e, r + i)
if expires_at <= now or tonumber(s[2]) < tonumber(ARGV[6]) then
  return {'not_found'}
end

local counter, grace = tonumber(ARGV[3]), tonumber(ARGV[5])
-- The grace is also measured by this server's clock, which all callers share: for a caller whose clock is behind, it
-- would last longer by as much. This server's clock may itself have been set back, but by no more than the largest
-- tolerated difference between clocks (two minutes, MAX_CLOCK_SKEW).
local since = server_now - tonumber(s[9] or server_now)
local is_replay = counter + 1 == c and grace > 0 and now - r <= grace and since <= grace and since >= -120000
if counter < c and not is_replay then
  redis.call('HSET', KEYS[1], 'x', 'reused')
  return {'reused'}
end
local dialect = ',' .. s[11] .. ','
if ARGV[7] ~= '*' and not string.find(ARGV[7], dialect, 1, true) then
  return {'not_found'}
elseif (ARGV[8] == '*' or string.find(ARGV[8], dialect, 1, true)) and not string.find(s[7], ARGV[9], 1, true) then
  return {'requirement_unmet'}
elseif is_replay then
  -- Tokens are issued once more, maybe with a clock that is ahead. Ending all sessions must revoke these too, so their
  -- time is recorded.
  redis.call('HSET', KEYS[1], 'l', ARGV[2])
  return {'replayed', s[1], s[2], expires_at, s[7], s[10] or s[2], s[12] or ''}
elseif ARGV[4] == '' then
  redis.call('HSET', KEYS[1], 'c', ARGV[3], 'u', ARGV[2])
  return {'rotated', ARGV[3], s[2], expires_at, s[7], s[10] or s[2], s[12] or ''}
end
expires_at = math.min(e, now + i)
local rotated = string.format('%.0f', server_now)
if expires_at <= tonumber(s[6]) then
  redis.call('HSET', KEYS[1], 'c', ARGV[4], 'u', ARGV[2], 'r', ARGV[2], 's', rotated)
else
  local kept = kept_until(now, i, e)
  redis.call('HSET', KEYS[1], 'c', ARGV[4], 'u', ARGV[2], 'r', ARGV[2], 's', rotated, 'k', string.format('%.0f', kept))
  set_ttl(KEYS[1], kept)
  redis.call('ZADD', KEYS[2], kept, string.sub(KEYS[1], -36))
  set_index_ttl(KEYS[2])
end
return {'rotated', ARGV[4], s[2], expires_at, s[7], s[10] or s[2], s[12] or ''}
