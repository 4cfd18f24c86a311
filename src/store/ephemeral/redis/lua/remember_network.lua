-- KEYS: networks. ARGV: deadline, now, network, ttl, maximum number of networks.
remember(KEYS[1], ARGV[3], ARGV[4], ARGV[5])
return 1
