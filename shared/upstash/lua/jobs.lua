-- The queue's state, one record a stream. See shared/queue/base.py for what must hold.
--   JOBS    hash: stream -> urgent|ready|token|claims|again|again_urgent|feed; #token -> stream
--   URGENT, PLAIN  sorted sets: stream by the moment it is claimable (while claimed: lease end)
--   LEASES  sorted set: claimed streams by their lease's end
--   BURIED  hash: stream -> urgent|reason
-- Times are whole microseconds of this server's clock. Streams are padded, so that among equal
-- scores the smaller comes first.
local JOBS, URGENT, PLAIN, LEASES, BURIED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function text(number)
  return string.format('%.0f', number)
end

local function flag(value)
  return value and '1' or '0'
end

local function read(id)
  local record = redis.call('HGET', JOBS, id)
  if not record then
    return nil
  end
  local urgent, ready, token, claims, again, again_urgent, feed =
    string.match(record, '^(%d)|(%d+)|(%d*)|(%d+)|(%d*)|(%d)|(.*)$')
  return {
    urgent = urgent == '1', ready = tonumber(ready), token = token, claims = tonumber(claims),
    again = tonumber(again), again_urgent = again_urgent == '1', feed = feed,
  }
end

local function write(id, job)
  redis.call('HSET', JOBS, id, table.concat({
    flag(job.urgent), text(job.ready), job.token, text(job.claims),
    job.again and text(job.again) or '', flag(job.again_urgent), job.feed,
  }, '|'))
  redis.call('ZREM', job.urgent and PLAIN or URGENT, id)
  redis.call('ZADD', job.urgent and URGENT or PLAIN, text(job.ready), id)
  if job.token == '' then
    redis.call('ZREM', LEASES, id)
  else
    redis.call('ZADD', LEASES, text(job.ready), id)
  end
end

local function waiting(urgent, ready, feed)
  return {urgent = urgent, ready = ready, token = '', claims = 0, again_urgent = false, feed = feed}
end

local function forget(id)
  redis.call('HDEL', JOBS, id)
  for _, set in ipairs({URGENT, PLAIN, LEASES}) do
    redis.call('ZREM', set, id)
  end
end

local function push(one)
  local ready, job = now + one.delay_us, read(one.stream)
  if not job then
    redis.call('HDEL', BURIED, one.stream)
    job = waiting(one.urgent, ready, one.feed)
  elseif job.token == '' then
    job.ready = math.min(job.ready, ready)
    job.urgent = job.urgent or one.urgent
  else
    job.again = math.min(job.again or ready, ready)
    job.again_urgent = job.again_urgent or one.urgent
    if job.ready <= now then
      job.urgent = job.urgent or one.urgent
    end
  end
  if one.feed ~= '' then
    job.feed = one.feed
  end
  write(one.stream, job)
end

-- End a claim; what was pushed meanwhile becomes its one follow-up.
local function settle(id, token, outcome)
  local job = read(id)
  redis.call('HDEL', JOBS, '#' .. token)
  if not job or job.token ~= token then
    return
  end
  if outcome.kind == 'retry' then
    local ready = now + outcome.delay_us
    job.ready = math.min(ready, job.again or ready)
    job.urgent = job.urgent or job.again_urgent
    job.token, job.again, job.again_urgent = '', nil, false
    write(id, job)
  elseif job.again then
    write(id, waiting(job.again_urgent, job.again, job.feed))
  else
    forget(id)
    if outcome.kind == 'bury' then
      redis.call('HSET', BURIED, id, flag(job.urgent) .. '|' .. outcome.reason)
    end
  end
end

local function first(set)
  return redis.call('ZRANGEBYSCORE', set, '-inf', text(now), 'LIMIT', 0, 1)[1]
end

-- The client repeats a call whose answer it did not get: the same token finds the same claim.
local function claim(wanted)
  local id = redis.call('HGET', JOBS, '#' .. wanted.token) or nil
  local job = id and read(id)
  if not (job and job.token == wanted.token) then
    id = first(URGENT) or first(PLAIN)
    if not id then
      return nil
    end
    job = read(id)
    if job.token ~= '' then
      redis.call('HDEL', JOBS, '#' .. job.token)
    end
    job.token, job.claims, job.ready = wanted.token, job.claims + 1, now + wanted.lease_us
    redis.call('HSET', JOBS, '#' .. wanted.token, id)
    write(id, job)
  end
  return {stream = id, urgent = job.urgent, claims = job.claims, feed = job.feed}
end
