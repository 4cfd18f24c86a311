-- KEYS: index, what stands before the id in a session's key, mark. ARGV: deadline, now, which, session id, valid_after.
-- Ends the sessions but leaves their records, marked: only once their revocations are published does bury.lua take
-- them away, so that a caller whose publishing failed finds them again. Answers the last moment at which any of them
-- was opened or tokens were made in it, and their ids.
if ARGV[5] ~= '' then
  local mark = tonumber(redis.call('HGET', KEYS[3], 'v') or ARGV[5])
  redis.call('HSET', KEYS[3], 'v', string.format('%.0f', math.max(mark, tonumber(ARGV[5]))), 'u', now + 600000)
  tidy(KEYS[3], now + 600000)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local ids = {ARGV[4]}
if ARGV[3] ~= 'one' then
  ids = redis.call('ZRANGE', KEYS[1], 0, -1)
end
local answer = {now}
for _, id in ipairs(ids) do
  local key = KEYS[2] .. id
  local s = redis.call('HMGET', key, 'u', 'r', 'i', 'e', 'l', 'x', 'o')
  local spared = ARGV[3] == 'others' and id == ARGV[4]
  if s[1] and not spared and math.min(tonumber(s[4]), tonumber(s[2]) + tonumber(s[3])) > now then
    if not s[6] then
      redis.call('HSET', key, 'x', 'ended')
    end
    answer[1] = math.max(answer[1], tonumber(s[1]), tonumber(s[5] or 0), tonumber(s[7]))
    answer[#answer + 1] = id
  end
end
return answer
