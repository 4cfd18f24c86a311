-- KEYS: claim. A script although DEL alone would do, because only scripts have a deadline: a late DEL could delete the
-- next claim of that name.
redis.call('DEL', KEYS[1])
return 1
