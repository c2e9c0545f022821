local found = redis.call('HGETALL', BURIED)
local letters = {}
for at = 1, #found, 2 do
  letters[#letters + 1] = {found[at], found[at + 1]}
end
table.sort(letters, function(one, other) return one[1] < other[1] end)
local shown = {}
for at = 1, math.min(#letters, ask.most) do
  shown[at] = letters[at]
end
-- An empty table would be an object in JSON.
return #shown == 0 and '[]' or cjson.encode(shown)
