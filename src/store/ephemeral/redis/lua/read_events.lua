-- KEYS: the streams to read. ARGV: deadline, now, 1 for ascending, from, to, limit. Returns the entries of each stream.
local found = {}
for i = 1, #KEYS do
  if ARGV[3] == '1' then
    found[i] = redis.call('XRANGE', KEYS[i], ARGV[4], ARGV[5], 'COUNT', ARGV[6])
  else
    found[i] = redis.call('XREVRANGE', KEYS[i], ARGV[5], ARGV[4], 'COUNT', ARGV[6])
  end
end
return found
