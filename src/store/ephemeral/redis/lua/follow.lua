-- KEYS: revocations, born. ARGV: deadline, now, cursor, the stream it is in. Answers whether history was lost before the
-- cursor, which stream this is, and the entries.
-- A flush or a failover can take away entries that were read already. New ids may then be less than the cursor, and
-- waiting behind it would be waiting for ever: so it must be the same stream, and the entry at the cursor must still be
-- there or have been forgotten.
local cursor, lost = ARGV[3], 0
local born = redis.call('GET', KEYS[2]) or ''
if cursor ~= '' then
  local last, first = stream_ends(KEYS[1])
  if not last or born ~= ARGV[4] or id_before(last, cursor) then
    lost = 1
  elseif first and id_before(first, cursor) and #redis.call('XRANGE', KEYS[1], cursor, cursor) == 0 then
    lost = 1
  end
end
local from = '-'
if cursor ~= '' and lost == 0 then
  from = '(' .. cursor
end
return {lost, born, redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1000 - 2 * lost)}
