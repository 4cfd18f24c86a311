-- KEYS: sessions of any users. ARGV: deadline, the earliest now; then what all rotations have in common: grace,
-- not_before, the dialects whose sessions are accepted, those whose sessions' claims must contain a text, the text;
-- then of each rotation its caller's now, the counter and the next counter (empty: do not rotate). Dialects are `*` or
-- `,a,b,`.
-- Returns one list: of each rotation not_found, reused, requirement_unmet, replayed or rotated, the last two followed by
-- the session's snapshot: opened_at, expires_at, claims, auth_time (opened_at for a session that an older build opened),
-- custom claims (empty if there are none). With several keys, a rotation that raises an error is `failed` and the others
-- go on. The caller then runs that one alone, and gets the error. If the server refuses all writes, the call fails.
--
-- This is the hot path. A rotation costs as much as its two calls of Redis, one that reads and one that writes. Both
-- cost more than all of the Lua. `+ 0` converts text in half the time that tonumber takes.
local call, find, min = redis.call, string.find, math.min
local grace, not_before = ARGV[3] + 0, ARGV[4] + 0
local opened_in, required_of, required_text = ARGV[5], ARGV[6], ARGV[7]
local rotated_at = string.format('%.0f', server_now)
-- The dialect of the latest session, and what the conditions say of it: most sessions of a batch have the same.
local dialect, is_accepted, needs_text

local function rotate(key, at, counter, next_counter)
  local s = call('HMGET', key, 'c', 'o', 'r', 'i', 'e', 'k', 'p', 'x', 't', 'd', 'm')
  if not s[1] then
    return 'not_found'
  end
  -- Checked first, because a reused session, expired or not, is `reused` to every caller until its revocation is
  -- published.
  if s[8] then
    return s[8] == 'reused' and 'reused' or 'not_found'
  end
  local now, r, i, e = at + 0, s[3] + 0, s[4] + 0, s[5] + 0
  local expires_at = min(e, r + i)
  if expires_at <= now or (not_before > 0 and s[2] + 0 < not_before) then
    return 'not_found'
  end

  local is_replay = false
  -- The texts are equal if the token is current, which saves converting them.
  if counter ~= s[1] and counter + 0 < s[1] + 0 then
    -- The grace is also measured by this server's clock, which all callers share: for a caller whose clock is behind,
    -- it would last longer by as much. This server's clock may itself have been set back, but by no more than the
    -- largest tolerated difference between clocks (two minutes, MAX_CLOCK_SKEW).
    local since = server_now - (call('HGET', key, 's') or server_now)
    is_replay = counter + 1 == s[1] + 0 and grace > 0 and now - r <= grace and since <= grace and since >= -120000
    if not is_replay then
      call('HSET', key, 'x', 'reused')
      return 'reused'
    end
  end
  if s[10] ~= dialect then
    local name = ',' .. s[10] .. ','
    is_accepted = opened_in == '*' or find(opened_in, name, 1, true)
    needs_text = required_of == '*' or find(required_of, name, 1, true)
    dialect = s[10]
  end
  if not is_accepted then
    return 'not_found'
  elseif needs_text and not find(s[7], required_text, 1, true) then
    return 'requirement_unmet'
  elseif is_replay then
    -- Tokens are issued once more, maybe with a clock that is ahead. Ending all sessions must revoke these too, so
    -- their time is recorded.
    call('HSET', key, 'l', at)
    return 'replayed', s[2], expires_at, s[7], s[9] or s[2], s[11] or ''
  elseif next_counter == '' then
    call('HSET', key, 'c', counter, 'u', at)
    return 'rotated', s[2], expires_at, s[7], s[9] or s[2], s[11] or ''
  end
  expires_at = min(e, now + i)
  if expires_at <= s[6] + 0 then
    call('HSET', key, 'c', next_counter, 'u', at, 'r', at, 's', rotated_at)
  else
    local kept = kept_until(now, i, e)
    -- `{user}:s:<session>` to `{user}:i`, the index in the same slot. It is first, because a rotation that fails here
    -- is run again: the counter must not have moved.
    local index = string.sub(key, 1, -39) .. 'i'
    call('ZADD', index, kept, string.sub(key, -36))
    extend_index_ttl(index, kept)
    call('HSET', key, 'c', next_counter, 'u', at, 'r', at, 's', rotated_at, 'k', kept)
    set_ttl(key, kept)
  end
  return 'rotated', s[2], expires_at, s[7], s[9] or s[2], s[11] or ''
end

-- Before the functions that only a batch needs, because creating them costs time.
if #KEYS == 1 then
  return {rotate(KEYS[1], ARGV[8], ARGV[9], ARGV[10])}
end

local count, n, replies, length, has_written = #KEYS, 0, {}, 0, false

local function rotate_rest()
  while n < count do
    n = n + 1
    local first = 3 * n + 5
    local result, opened_at, expires_at, claims, auth_time, custom_claims =
      rotate(KEYS[n], ARGV[first], ARGV[first + 1], ARGV[first + 2])
    length = length + 1
    replies[length] = result
    if opened_at then
      replies[length + 1], replies[length + 2], replies[length + 3] = opened_at, expires_at, claims
      replies[length + 4], replies[length + 5] = auth_time, custom_claims
      length = length + 5
    end
    has_written = has_written or opened_at or result == 'reused'
  end
end

-- The text of an error, which some versions give in a table.
local function text_of(failure)
  return type(failure) == 'table' and failure.err or failure
end

-- True for the error of a server that is full, a replica, or unable to save.
local function refuses_writes(text)
  return string.find(text, '^OOM ') or string.find(text, '^READONLY ') or string.find(text, '^MISCONF ')
end

while n < count do
  local ok, failure = pcall(rotate_rest)
  if not ok then
    if not has_written and refuses_writes(text_of(failure)) then
      -- All others would fail in the same way, each of them alone once more.
      return redis.error_reply(text_of(failure))
    end
    length = length + 1
    replies[length] = 'failed'
  end
end
return replies
