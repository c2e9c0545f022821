local ends = math.max(now + ask.hold_us, held_until(ask.source))
redis.call('HSET', SHARES, 'hold/' .. ask.source, text(ends))
return cjson.encode({ends = text(ends)})
