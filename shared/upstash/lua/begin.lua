-- Never an empty table, of which some encoders make a list.
local answer = begin(ask.claim)
answer.told = true
return cjson.encode(answer)
