-- Returns 1 if the user has known networks and `network` is none of them, otherwise 0.
local function is_new(networks, network, ttl)
  local forgotten = now - tonumber(ttl)
  local seen = redis.call('ZSCORE', networks, network)
  if seen and tonumber(seen) > forgotten then
    return 0
  end
  return math.min(redis.call('ZCOUNT', networks, string.format('(%.0f', forgotten), '+inf'), 1)
end

-- Makes a network a known one. `ttl` is the time in milliseconds for which it is known, `maximum` the number of
-- networks that are known.
local function remember(networks, network, ttl, maximum)
  redis.call('ZADD', networks, now, network)
  redis.call('ZREMRANGEBYRANK', networks, 0, -1 - tonumber(maximum))
  redis.call('PEXPIRE', networks, ttl)
end
