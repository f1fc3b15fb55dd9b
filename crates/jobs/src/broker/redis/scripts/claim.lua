-- ARGV: worker, WorkerInfo, milliseconds that a job in lane auto must have waited, lane, ...
-- Answers {attempt, job's fields}, or false when no job waits in these lanes.
local worker, info, auto_wait = ARGV[1], ARGV[2], tonumber(ARGV[3])
local at, even = now(), even_now()

-- Jobs of lane `auto` do not overtake each other, so only the first is checked.
local function ripe(lane, id)
  if lane ~= 'auto' or auto_wait == 0 then return true end
  local times = redis.call('HMGET', key('job', id), 'queued_at', 'created_at')
  local queued = tonumber(times[1] or times[2] or even)
  -- A time in the future was written by another queue.
  return queued + auto_wait <= even or queued > even
end

-- The waiting job that has its turn.
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

-- Gives a worker its lease: a pending entry in `taken`. Written and read in one script, so that the entry read is the
-- entry written.
local function lease_job(id)
  local taken = key('taken')
  local read = {'XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', taken, '>'}
  local entry = redis.call('XADD', taken, '*', 'job', id)
  local reply = redis.pcall(unpack(read))
  if reply and reply.err then
    redis.call('XGROUP', 'CREATE', taken, group, 0)
    reply = redis.call(unpack(read))
  end
  -- Older entries exist only if someone removed the group by hand; their leases expire.
  while reply and reply[1][2][1][1] ~= entry do
    reply = redis.call(unpack(read))
  end
  return entry
end

allow_when_full()
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
    redis.call('HSET', job, 'state', 'running', 'started_at', at, 'worker', worker, 'entry', lease_job(id))
    redis.call('ZADD', key('leases'), even, id)
    return {attempt, fields(id)}
  end
  -- A waiting job without a record was removed by hand.
  redis.call('ZREM', key('waiting', first.lane), id)
end
