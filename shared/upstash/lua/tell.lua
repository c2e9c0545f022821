count_calls(ask.used)
return cjson.encode({told = true})
