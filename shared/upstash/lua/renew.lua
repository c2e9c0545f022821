count_calls(ask.used)
return cjson.encode(share(ask.source, ask.holder, ask.share_us))
