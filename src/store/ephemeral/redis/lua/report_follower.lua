-- KEYS: followers. ARGV: deadline, now, name, report, lifetime of a report in milliseconds, maximum number. Returns 1, or
-- 0 if there is no place. Only then are reports removed that do not count any more. The hash expires with its newest
-- report.
local followers, maximum = KEYS[1], tonumber(ARGV[6])
if redis.call('HEXISTS', followers, ARGV[3]) == 0 and redis.call('HLEN', followers) >= maximum then
  local reports = redis.call('HGETALL', followers)
  for at = 1, #reports, 2 do
    local reported = tonumber(string.match(reports[at + 1], '^%d+')) or 0
    if reported + tonumber(ARGV[5]) <= now then redis.call('HDEL', followers, reports[at]) end
  end
  if redis.call('HLEN', followers) >= maximum then return 0 end
end
redis.call('HSET', followers, ARGV[3], ARGV[4])
redis.call('PEXPIRE', followers, ARGV[5])
return 1
