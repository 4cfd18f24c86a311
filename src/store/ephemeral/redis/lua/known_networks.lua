-- Makes a network a known one. `ttl` is the time in milliseconds for which it is known, `maximum` the number of
-- networks that are known. Returns 1 if the user had known networks and this was none of them, otherwise 0.
local function remember(networks, network, ttl, maximum)
  local forgotten, others, is_new = now - ttl, 0, true
  -- At most `maximum` networks: one call for all costs less than one for each question.
  local seen = redis.call('ZRANGE', networks, 0, -1, 'WITHSCORES')
  for n = 1, #seen, 2 do
    local is_known = tonumber(seen[n + 1]) > forgotten
    if seen[n] == network then
      is_new = not is_known
    elseif is_known then
      others = others + 1
    end
  end
  redis.call('ZADD', networks, now, network)
  if #seen >= 2 * maximum then
    redis.call('ZREMRANGEBYRANK', networks, 0, -1 - maximum)
  end
  redis.call('PEXPIRE', networks, ttl)
  return is_new and others > 0 and 1 or 0
end
