local forgotten = redis.call('ZCARD', URGENT) + redis.call('ZCARD', PLAIN) + redis.call('HLEN', BURIED)
redis.call('DEL', JOBS, URGENT, PLAIN, LEASES, BURIED)
return cjson.encode({forgotten = forgotten})
