-- KEYS: keyring, revocations, stream epoch. ARGV: deadline, now, expected version, sealed bytes.
local version = redis.call('HGET', KEYS[1], 'v') or '0'
if version ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], 'v', string.format('%.0f', tonumber(version) + 1), 'b', ARGV[4])
publish(KEYS[2], KEYS[3], 'ring', ARGV[2])
return 1
