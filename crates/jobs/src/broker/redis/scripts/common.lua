-- Put in front of every script, after `local lanes, GAP = {...}, ...`.
-- KEYS[1] is the hash tag that all keys share.

local group = 'workers'

local function key(...)
  return KEYS[1] .. ':' .. table.concat({...}, ':')
end

-- Milliseconds since 1970 by the clock of Redis, which all processes share. For display only: the clock can be set.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The queue's own time, for delays and ages: milliseconds that started at the wall clock and advance evenly, whatever
-- the clock of Redis is set to. Every process calls `tick` every few seconds, so more than GAP between two ticks means
-- that the clock was set or that Redis was down.
local function even_now()
  local last = redis.call('HMGET', key('clock'), 'wall', 'even')
  local wall = now()
  if not last[1] then return wall end
  return last[2] + math.min(math.max(wall - last[1], 0), GAP)
end

-- When its memory is full, Redis refuses a script whose first write may allocate, but not writes after another write.
-- Scripts that finish existing jobs start with this write, which allocates nothing; `submit` does not.
local function allow_when_full()
  redis.call('ZREM', key('leases'), '')
end

-- Scheme, host and port of an address.
local function receiver_of(url)
  return url:match('^%a+://[^/?#]*') or url
end

-- Makes a delivery due, and gives its receiver and client a turn at that time. The scores of turns may be too early,
-- never too late; `deliver` corrects them.
local function schedule(delivery, client, receiver, due)
  redis.call('ZADD', key('posts', client, receiver), due, delivery)
  redis.call('ZADD', key('posts', client), 'LT', due, receiver)
  redis.call('ZADD', key('posts'), 'LT', due, client)
end

-- Adds a delivery if the job's webhook wants this event.
local function post(id, seq, event, at)
  local job = redis.call('HMGET', key('job', id), 'webhook', 'webhook_events', 'upload_id', 'client')
  if not job[1] then return end
  local kind = cjson.decode(event).type
  if not job[2]:find(' ' .. kind .. ' ', 1, true) then return end
  local delivery, client, receiver = id .. '.' .. seq, job[4] or '', receiver_of(job[1])
  redis.call('HSET', key('delivery', delivery), 'job', id, 'seq', seq, 'at', at, 'event', event,
    'upload_id', job[3], 'url', job[1], 'attempt', 0, 'client', client, 'receiver', receiver)
  schedule(delivery, client, receiver, even_now())
end

-- Appends an event and wakes the job's listeners.
local function emit(id, event, at)
  local seq = redis.call('HINCRBY', key('job', id), 'seq', 1)
  redis.call('XADD', key('events', id), seq .. '-0', 'at', at, 'event', event)
  redis.call('PUBLISH', key('wakes'), id)
  post(id, seq, event, at)
end

-- A turn is one number that sorts a lane by class, then round, then arrival.
-- Doubles are exact up to 2^53: 2 bits of class, 30 of round, 20 of arrival.
local CLASS, ROUND = 2 ^ 50, 2 ^ 20

local function class_and_round(turn)
  local class = math.floor(turn / CLASS)
  return class, math.floor((turn - class * CLASS) / ROUND)
end

-- The key of a client's jobs in a class, by round.
local function share(class, client)
  return key('share', string.format('%d', class), client)
end

-- The round after the client's last one, but not before the current round.
local function round_of(class, lane, client)
  local own = redis.call('ZREVRANGE', share(class, client), 0, 0, 'WITHSCORES')[2]
  local head = redis.call('ZRANGEBYSCORE', key('waiting', lane), class * CLASS, '(' ..
    string.format('%.0f', (class + 1) * CLASS), 'WITHSCORES', 'LIMIT', 0, 1)[2]
  local current = 0
  if head then
    local _, round = class_and_round(tonumber(head))
    current = round
  else
    current = tonumber(redis.call('HGET', key('rounds'), string.format('%d', class)) or 0)
  end
  return math.max(own and own + 1 or 0, current)
end

-- Adds a job to its lane. A returned job goes first, in class 0.
local function enter(id, returned)
  local job = key('job', id)
  local place = redis.call('HMGET', job, 'lane', 'class', 'client')
  local lane, class, round = place[1], tonumber(place[2]), 0
  if returned then
    class = 0
  else
    round = round_of(class, lane, place[3])
    redis.call('ZADD', share(class, place[3]), round, id)
  end
  local arrival = redis.call('INCR', key('turn')) % ROUND
  redis.call('HSET', job, 'state', 'queued')
  redis.call('ZADD', key('waiting', lane), class * CLASS + round * ROUND + arrival, id)
  redis.call('PUBLISH', key('work'), lane)
end

-- Removes a waiting job from its lane; answers its class and round, or nil if it does not wait.
local function step_out(id)
  local place = redis.call('HMGET', key('job', id), 'lane', 'client')
  local turn = redis.call('ZSCORE', key('waiting', place[1]), id)
  if not turn then return nil end
  local class, round = class_and_round(tonumber(turn))
  redis.call('ZREM', key('waiting', place[1]), id)
  redis.call('ZREM', share(class, place[2]), id)
  return class, round
end

-- Removes a job from its lane or from its worker.
local function leave(id)
  step_out(id)
  redis.call('ZREM', key('leases'), id)
  local entry = redis.call('HGET', key('job', id), 'entry')
  if entry then
    redis.call('XACK', key('taken'), group, entry)
    redis.call('XDEL', key('taken'), entry)
  end
end

-- Ends a job.
local function over(id, state, event, at)
  local job = key('job', id)
  leave(id)
  -- A clock that was set back must not let a job end before it started.
  local times = redis.call('HMGET', job, 'started_at', 'created_at')
  at = math.max(at, tonumber(times[1] or times[2] or at))
  redis.call('HSET', job, 'state', state, 'finished_at', at)
  redis.call('HDEL', job, 'worker', 'entry')
  redis.call('HDEL', key('active'), id)
  redis.call('ZADD', key('finished'), even_now(), id)
  emit(id, event, at)
end

-- Returns a job to the queue, or ends it if it was to be cancelled.
local function give_back(id, requeued, cancelled, at)
  local job = key('job', id)
  if redis.call('HGET', job, 'cancel_requested') == '1' then
    return over(id, 'cancelled', cancelled, at)
  end
  leave(id)
  redis.call('HDEL', job, 'worker', 'entry', 'engine', 'progress')
  enter(id, true)
  emit(id, requeued, at)
end

-- Whether a lease stands.
local function holds(id, attempt, worker)
  local job = redis.call('HMGET', key('job', id), 'state', 'attempt', 'worker')
  return job[1] == 'running' and job[2] == attempt and job[3] == worker
end

-- Renews a lease. The XCLAIM is for older versions of this program, which use the idle time of the entry in `taken`.
local function renew(id, worker)
  redis.call('XCLAIM', key('taken'), group, worker, 0, redis.call('HGET', key('job', id), 'entry'), 'JUSTID')
  redis.call('ZADD', key('leases'), even_now(), id)
  redis.call('ZADD', key('seen'), 'XX', even_now(), worker)
end

-- The answer to a worker: -1 the lease is lost, 1 cancel was requested, 0 continue.
local LOST = -1
local function standing(id)
  return tonumber(redis.call('HGET', key('job', id), 'cancel_requested'))
end

local function announce(worker, info)
  redis.call('HSET', key('workers'), worker, info)
  redis.call('ZADD', key('seen'), even_now(), worker)
end

-- Deleting a consumer drops its pending entries, so one that has any is kept.
local function retire(worker)
  redis.call('HDEL', key('workers'), worker)
  redis.call('ZREM', key('seen'), worker)
  local pending = redis.pcall('XPENDING', key('taken'), group, '-', '+', 1, worker)
  if not pending.err and #pending == 0 then
    redis.call('XGROUP', 'DELCONSUMER', key('taken'), group, worker)
  end
end

local function queued()
  local count = 0
  for _, lane in ipairs(lanes) do
    count = count + redis.call('ZCARD', key('waiting', lane))
  end
  return count
end

-- How many waiting jobs can be taken before this one; -1 when it does not wait.
-- A worker that takes from a named lane also takes from `auto`.
local function position(id)
  local lane = redis.call('HGET', key('job', id), 'lane')
  local turn = redis.call('ZSCORE', key('waiting', lane), id)
  if not turn then return -1 end
  local ahead = 0
  for _, rival in ipairs(lanes) do
    if lane == 'auto' or rival == 'auto' or rival == lane then
      ahead = ahead + redis.call('ZCOUNT', key('waiting', rival), '-inf', '(' .. turn)
    end
  end
  return ahead
end

local function fields(id)
  return redis.call('HGETALL', key('job', id))
end

local function exists(id)
  return redis.call('EXISTS', key('job', id)) == 1
end

