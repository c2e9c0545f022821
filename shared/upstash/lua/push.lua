for _, one in ipairs(ask.pushes) do
  push(one)
end
return cjson.encode({pushed = #ask.pushes})
