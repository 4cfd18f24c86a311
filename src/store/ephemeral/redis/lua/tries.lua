-- How many wrong tries a subject has had in its day, which begins with the first of them, and when that ends.
local function tries_of(day)
  local found = redis.call('HMGET', day, 'n', 'u')
  if found[1] and tonumber(found[2]) > now then
    return tonumber(found[1]), tonumber(found[2])
  end
  return 0, now + 86400000
end

local function keep_tries(day, tries, ends)
  if tries == 0 then
    redis.call('DEL', day)
  else
    redis.call('HSET', day, 'n', tries, 'u', ends)
    tidy(day, ends)
  end
end
