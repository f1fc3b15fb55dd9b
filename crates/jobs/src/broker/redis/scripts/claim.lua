-- ARGV: worker, WorkerInfo, lane, ...
-- Answers {attempt, job's fields}, or nothing when nothing waits in these lanes.
local worker, info = ARGV[1], ARGV[2]

-- The waiting job whose turn it is.
local function head()
  local best, best_turn
  for i = 3, #ARGV do
    local first = redis.call('ZRANGE', key('waiting', ARGV[i]), 0, 0, 'WITHSCORES')
    local turn = tonumber(first[2])
    if turn and (not best_turn or turn < best_turn) then
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

local at = now()
announce(worker, info, at)
while true do
  local first = head()
  if not first then return false end
  local id, job = first.id, key('job', first.id)
  if redis.call('HGET', job, 'state') == 'queued' then
    local class, round = step_out(id)
    redis.call('HSET', key('rounds'), string.format('%d', class), round)
    local attempt = redis.call('HINCRBY', job, 'attempt', 1)
    redis.call('HSET', job, 'state', 'running', 'started_at', at, 'worker', worker, 'entry', lend(id))
    return {attempt, fields(id)}
  end
  -- Only a hand in the database removes a job that waits.
  redis.call('ZREM', key('waiting', first.lane), id)
end
