-- Put in front of every script, after `local lanes = {...}`.
-- KEYS[1] is the hash tag that all keys share.

local group = 'workers'

local function key(...)
  return KEYS[1] .. ':' .. table.concat({...}, ':')
end

-- Milliseconds since 1970 by Redis's clock, the only one that all agree on.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Writes an event under the job's next number and wakes its listeners.
local function emit(id, event, at)
  local seq = redis.call('HINCRBY', key('job', id), 'seq', 1)
  redis.call('XADD', key('events', id), seq .. '-0', 'at', at, 'event', event)
  redis.call('PUBLISH', key('wakes'), id)
end

-- Puts a job into its lane. Class `returned` is served before class `fresh`.
local function enter(id, class)
  local job = key('job', id)
  local lane = redis.call('HGET', job, 'lane')
  local turn = redis.call('INCR', key('turn'))
  if class == 'returned' then turn = turn - 2 ^ 40 end
  local stream = key('lane', lane, class)
  local entry = redis.call('XADD', stream, '*', 'job', id)
  redis.call('HSET', job, 'state', 'queued', 'stream', stream, 'entry', entry)
  redis.call('ZADD', key('waiting', lane), turn, id)
  redis.call('PUBLISH', key('work'), lane)
end

-- Takes a job out of its lane, whether it waits there or is being worked on.
local function leave(id)
  local place = redis.call('HMGET', key('job', id), 'stream', 'entry', 'lane')
  redis.call('XACK', place[1], group, place[2])
  redis.call('XDEL', place[1], place[2])
  redis.call('ZREM', key('waiting', place[3]), id)
end

-- Ends a job.
local function over(id, state, event, at)
  local job = key('job', id)
  leave(id)
  redis.call('HSET', job, 'state', state, 'finished_at', at)
  redis.call('HDEL', job, 'worker', 'stream', 'entry')
  redis.call('HDEL', key('active'), id)
  redis.call('ZADD', key('finished'), at, id)
  emit(id, event, at)
end

-- A job that nobody works on any more waits again, unless it was to be cancelled.
local function give_back(id, requeued, cancelled, at)
  local job = key('job', id)
  if redis.call('HGET', job, 'cancel_requested') == '1' then
    return over(id, 'cancelled', cancelled, at)
  end
  leave(id)
  redis.call('HDEL', job, 'worker', 'engine', 'progress')
  enter(id, 'returned')
  emit(id, requeued, at)
end

-- Whether a lease still stands.
local function holds(id, attempt, worker)
  local job = redis.call('HMGET', key('job', id), 'state', 'attempt', 'worker')
  return job[1] == 'running' and job[2] == attempt and job[3] == worker
end

-- A lease is how long the lane's entry has been idle: this sets it back to 0.
local function renew(id, worker)
  local place = redis.call('HMGET', key('job', id), 'stream', 'entry')
  redis.call('XCLAIM', place[1], group, worker, 0, place[2], 'JUSTID')
  redis.call('ZADD', key('seen'), 'XX', now(), worker)
end

-- What a worker is told: -1 the job is lost, 1 someone asked to cancel it, 0 go on.
local LOST = -1
local function standing(id)
  return tonumber(redis.call('HGET', key('job', id), 'cancel_requested'))
end

local function announce(worker, info, at)
  redis.call('HSET', key('workers'), worker, info)
  redis.call('ZADD', key('seen'), at, worker)
end

local function each_stream(visit)
  for _, lane in ipairs(lanes) do
    visit(key('lane', lane, 'returned'))
    visit(key('lane', lane, 'fresh'))
  end
end

-- Deleting a consumer drops what it has pending, so one that has stays.
local function retire(worker)
  redis.call('HDEL', key('workers'), worker)
  redis.call('ZREM', key('seen'), worker)
  each_stream(function(stream)
    local pending = redis.pcall('XPENDING', stream, group, '-', '+', 1, worker)
    if not pending.err and #pending == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, worker)
    end
  end)
end

local function queued()
  local count = 0
  for _, lane in ipairs(lanes) do
    count = count + redis.call('ZCARD', key('waiting', lane))
  end
  return count
end

-- How many waiting jobs can come before this one; -1 when it does not wait.
-- A worker that takes from a named lane takes from `auto` too.
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

