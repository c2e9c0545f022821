-- Shares of a provider's rate. Its time is a row of slots, one call each; slot k belongs to stripe
-- k mod STRIPES, and a stripe to one holder at a time, until that holder's lease ends.
--   SHARES  hash: share/source -> holder,until,stripes;..  hold/source -> until
--                 used/source -> day|calls
--   HEADS   hash: source/chain -> block|asked at
local SHARES, HEADS = KEYS[6], KEYS[7]
local STRIPES, SPREAD = 60, 37
-- Kept free while a holder is alone, so that the next one need not wait for its lease to end.
local SPARE = 6

local function holders_of(source)
  local found = {}
  local record = redis.call('HGET', SHARES, 'share/' .. source) or ''
  for holder, ends, stripes in string.gmatch(record, '([^,;]+),(%d+),([01]+);') do
    if tonumber(ends) > now then
      found[#found + 1] = {holder = holder, ends = tonumber(ends), stripes = stripes}
    end
  end
  return found
end

local function keep_holders(source, holders)
  local parts = {}
  for _, each in ipairs(holders) do
    parts[#parts + 1] = each.holder .. ',' .. text(each.ends) .. ',' .. each.stripes .. ';'
  end
  if #parts == 0 then
    redis.call('HDEL', SHARES, 'share/' .. source)
  else
    redis.call('HSET', SHARES, 'share/' .. source, table.concat(parts))
  end
end

local function without(holders, holder)
  local others, mine = {}, nil
  for _, each in ipairs(holders) do
    if each.holder == holder then
      mine = each
    else
      others[#others + 1] = each
    end
  end
  return others, mine
end

-- Whole microseconds until which nobody may call, 0 when everybody may.
local function held_until(source)
  local ends = tonumber(redis.call('HGET', SHARES, 'hold/' .. source) or '0')
  return ends > now and ends or 0
end

local function day()
  return text(math.floor(now / 86400000000))
end

local function used_today(source)
  local record = redis.call('HGET', SHARES, 'used/' .. source) or ''
  local on, calls = string.match(record, '^(%d+)|(%d+)$')
  return on == day() and tonumber(calls) or 0
end

local function count_calls(used)
  for source, calls in pairs(used) do
    if calls > 0 then
      local record = day() .. '|' .. text(used_today(source) + calls)
      redis.call('HSET', SHARES, 'used/' .. source, record)
    end
  end
end

-- An equal part of what there is: what is above it goes back, what is missing is taken if free.
local function share(source, holder, lease_us)
  local others, mine = without(holders_of(source), holder)
  local most = #others == 0 and STRIPES - SPARE or math.ceil(STRIPES / (#others + 1))
  local has, count = {}, 0
  for k = 0, STRIPES - 1 do
    local stripe = k * SPREAD % STRIPES + 1
    local own = mine and string.sub(mine.stripes, stripe, stripe) == '1' and count < most
    has[stripe], count = own, own and count + 1 or count
  end
  local taken = {}
  for _, each in ipairs(others) do
    for stripe = 1, STRIPES do
      taken[stripe] = taken[stripe] or string.sub(each.stripes, stripe, stripe) == '1'
    end
  end
  for k = 0, STRIPES - 1 do
    local stripe = k * SPREAD % STRIPES + 1
    if count < most and not has[stripe] and not taken[stripe] then
      has[stripe], count = true, count + 1
    end
  end
  local stripes = {}
  for stripe = 1, STRIPES do
    stripes[stripe] = flag(has[stripe])
  end
  mine = {holder = holder, ends = now + lease_us, stripes = table.concat(stripes)}
  others[#others + 1] = mine
  keep_holders(source, others)
  return {
    source = source, now = text(now), ends = text(mine.ends), stripes = mine.stripes,
    held = text(held_until(source)), used = used_today(source),
  }
end

local function give_back(holder, sources)
  for _, source in ipairs(sources) do
    keep_holders(source, (without(holders_of(source), holder)))
  end
end

local function keep_heads(heads)
  for feed, each in pairs(heads) do
    local asked = now - each.age_us
    local known = string.match(redis.call('HGET', HEADS, feed) or '0|0', '|(%d+)$')
    if asked > tonumber(known) then
      redis.call('HSET', HEADS, feed, text(each.block) .. '|' .. text(asked))
    end
  end
end

-- What a run needs to begin a stream: its claim, a share of the provider's rate, the head.
local function begin(wanted)
  local taken = claim(wanted)
  if not taken then
    return {}
  end
  local answer = {claim = taken}
  local source = string.match(taken.feed, '^(.+)/%d+$')
  if source then
    answer.share = share(source, wanted.holder, wanted.share_us)
    local block, asked = string.match(redis.call('HGET', HEADS, taken.feed) or '', '^(%d+)|(%d+)$')
    if block then
      answer.head = {block = block, age_us = now - tonumber(asked)}
    end
  end
  return answer
end
