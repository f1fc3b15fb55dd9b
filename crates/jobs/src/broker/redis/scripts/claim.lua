-- ARGV: worker, WorkerInfo, milliseconds that a job in lane auto has to have waited, lane, ...
-- Answers {attempt, job's fields}, or nothing when nothing waits in these lanes.
local worker, info, auto_wait = ARGV[1], ARGV[2], tonumber(ARGV[3])
local at, even = now(), even_now()

-- Nobody overtakes the first of lane `auto`, so the others need no look.
local function ripe(lane, id)
  if lane ~= 'auto' or auto_wait == 0 then return true end
  local times = redis.call('HMGET', key('job', id), 'queued_at', 'created_at')
  local queued = tonumber(times[1] or times[2] or even)
  -- A time to come is none of this queue's.
  return queued + auto_wait <= even or queued > even
end

-- The waiting job whose turn it is.
local function head()
  local best, best_turn
  for i = 4, #ARGV do
    local first = redis.call('ZRANGE', key('waiting', ARGV[i]), 0, 0, 'WITHSCORES')
    local turn = tonumber(first[2])
    if turn and (not best_turn or turn < best_turn) and ripe(ARGV[i], first[1]) then
      best, best_turn = {id = first[1], lane = ARGV[i]}, turn
    end
  end
  return best
end

-- Gives a worker its lease: an entry of its own among those that are pending. It is written
-- and read in one script, so nobody else's can come in between.
local function lend(id)
  local taken = key('taken')
  local read = {'XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', taken, '>'}
  local entry = redis.call('XADD', taken, '*', 'job', id)
  local reply = redis.pcall(unpack(read))
  if reply and reply.err then
    redis.call('XGROUP', 'CREATE', taken, group, 0)
    reply = redis.call(unpack(read))
  end
  -- Older entries are there only when a hand in the database removed the group: their leases run out.
  while reply and reply[1][2][1][1] ~= entry do
    reply = redis.call(unpack(read))
  end
  return entry
end

go_on_when_full()
announce(worker, info)
while true do
  local first = head()
  if not first then return false end
  local id, job = first.id, key('job', first.id)
  if redis.call('HGET', job, 'state') == 'queued' then
    local class, round = step_out(id)
    redis.call('HSET', key('rounds'), string.format('%d', class), round)
    local attempt = redis.call('HINCRBY', job, 'attempt', 1)
    at = math.max(at, tonumber(redis.call('HGET', job, 'created_at') or at))
    redis.call('HSET', job, 'state', 'running', 'started_at', at, 'worker', worker, 'entry', lend(id))
    redis.call('ZADD', key('leases'), even, id)
    return {attempt, fields(id)}
  end
  -- Only a hand in the database removes a job that waits.
  redis.call('ZREM', key('waiting', first.lane), id)
end
