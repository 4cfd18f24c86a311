-- Makes a network a known one. `ttl` is the time in milliseconds for which it is known, `maximum` the number of
-- networks that are known.
local function remember(networks, network, ttl, maximum)
  redis.call('ZADD', networks, now, network)
  redis.call('ZREMRANGEBYRANK', networks, 0, -1 - tonumber(maximum))
  redis.call('PEXPIRE', networks, ttl)
end
