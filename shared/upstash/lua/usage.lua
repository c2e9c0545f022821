local found = {}
for _, source in ipairs(ask.sources) do
  found[source] = {
    used = used_today(source), held = text(held_until(source)), holders = #holders_of(source),
  }
end
return cjson.encode({now = text(now), sources = found})
