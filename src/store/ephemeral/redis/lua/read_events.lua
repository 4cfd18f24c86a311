-- KEYS: actions, attempts. ARGV: deadline, now, 1 for ascending, from, to, limit, the number of the only stream or
-- nothing. Returns the entries of each stream.
local found = {}
for i = 1, 2 do
  if ARGV[7] == '' or tonumber(ARGV[7]) == i then
    if ARGV[3] == '1' then
      found[#found + 1] = redis.call('XRANGE', KEYS[i], ARGV[4], ARGV[5], 'COUNT', ARGV[6])
    else
      found[#found + 1] = redis.call('XREVRANGE', KEYS[i], ARGV[5], ARGV[4], 'COUNT', ARGV[6])
    end
  end
end
return found
