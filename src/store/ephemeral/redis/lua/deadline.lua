-- Precedes every script. ARGV[1] is the time, by this server's clock, at which the caller stops waiting. A server that
-- was frozen finds old commands in its sockets when it resumes; running a rotation long after its caller has gone would
-- make the caller's retry look like reuse. A late command changes nothing, and its error reports the server's time.
local clock = redis.call('TIME')
local server_now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if server_now > tonumber(ARGV[1]) then
  return redis.error_reply(string.format('LATE %.0f', server_now))
end
local now = tonumber(ARGV[2])
