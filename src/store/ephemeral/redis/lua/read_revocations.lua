-- KEYS: revocations, stream epoch. ARGV: deadline, now, cursor, the cursor's epoch. Returns 1 if entries before the
-- cursor were lost and 0 otherwise, the present epoch, the entries, the last id that the stream has generated, and this
-- server's time.
-- A flush or a failover can remove entries that were already read. New ids may then be lower than the cursor, and a
-- node that waits after the cursor would wait forever. So the epoch must be the same, and the entry at the cursor
-- must still exist or have been trimmed.
local cursor, lost = ARGV[3], 0
local epoch = redis.call('GET', KEYS[2]) or ''
local last, first = stream_ends(KEYS[1])
if cursor ~= '' then
  if not last or epoch ~= ARGV[4] or id_before(last, cursor) then
    lost = 1
  elseif first and id_before(first, cursor) and #redis.call('XRANGE', KEYS[1], cursor, cursor) == 0 then
    lost = 1
  end
end
-- A failover can lose entries and keep the epoch. The first node that notices changes it, so that all others notice
-- too, and no position means two things.
if lost == 1 and epoch == ARGV[4] then
  epoch = clock[1] .. '.' .. clock[2]
  redis.call('SET', KEYS[2], epoch)
end
local from = '-'
if cursor ~= '' and lost == 0 then
  from = '(' .. cursor
end
return {lost, epoch, redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1000 - 2 * lost), last or '', server_now}
