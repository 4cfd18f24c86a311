-- Returns the number of wrong attempts of a subject in its day, and the time at which the day ends. A day begins with
-- the first attempt.
local function read_attempts(day)
  local record = redis.call('HMGET', day, 'n', 'u')
  if record[1] and tonumber(record[2]) > now then
    return tonumber(record[1]), tonumber(record[2])
  end
  return 0, now + 86400000
end

local function write_attempts(day, attempts, day_ends)
  if attempts == 0 then
    redis.call('DEL', day)
  else
    redis.call('HSET', day, 'n', attempts, 'u', day_ends)
    set_ttl(day, day_ends)
  end
end
