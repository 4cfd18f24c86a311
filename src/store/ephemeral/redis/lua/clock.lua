-- Stands before every script. ARGV[1] is when, by this server's own clock, the caller stops waiting: a server that was
-- frozen finds old commands in its sockets when it goes on, and running a rotation long after its caller has gone would
-- make the caller's next try look like reuse. What is late is not done, and the answer tells the server's time.
local clock = redis.call('TIME')
local server_now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if server_now > tonumber(ARGV[1]) then
  return redis.error_reply(string.format('LATE %.0f', server_now))
end
local now = tonumber(ARGV[2])
