local present = text(now)
local ready = redis.call('ZCOUNT', URGENT, '-inf', present) + redis.call('ZCOUNT', PLAIN, '-inf', present)
local later = redis.call('ZCARD', URGENT) + redis.call('ZCARD', PLAIN) - ready
local claimed = redis.call('ZCOUNT', LEASES, '(' .. present, '+inf')
return cjson.encode({
  ready = ready, delayed = later - claimed, claimed = claimed, buried = redis.call('HLEN', BURIED),
})
