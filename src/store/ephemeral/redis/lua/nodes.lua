-- KEYS: nodes. ARGV: deadline, now, lifetime of a report in milliseconds. Returns name and position of each node in
-- turn, and removes reports that have lapsed. After a failover this server's clock may be behind the one that wrote a
-- report.
local reports = redis.call('HGETALL', KEYS[1])
local running = {}
for at = 1, #reports, 2 do
  local time, position = string.match(reports[at + 1], '^(%d+) (.*)$')
  if math.abs(server_now - tonumber(time)) < tonumber(ARGV[3]) then
    running[#running + 1] = reports[at]
    running[#running + 1] = position
  else
    redis.call('HDEL', KEYS[1], reports[at])
  end
end
return running
