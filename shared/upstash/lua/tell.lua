count_calls(ask.used)
give_back(ask.holder, ask.returned)
return cjson.encode({told = true})
