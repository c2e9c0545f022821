count_calls(ask.used)
keep_heads(ask.heads)
-- The pushes first: one for our own stream waits for the end of our claim like any other.
for _, one in ipairs(ask.pushes) do
  push(one)
end
settle(ask.stream, ask.token, ask.outcome)
local answer = ask.claim and begin(ask.claim) or {}
if not answer.claim then
  give_back(ask.holder, ask.returned)
end
answer.told = true
return cjson.encode(answer)
