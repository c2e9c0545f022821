return cjson.encode(begin(ask.claim))
