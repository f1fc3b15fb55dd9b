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

-- The next entry of a lane's stream: its id and the job's.
local function deliver(stream)
  local read = {'XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', stream, '>'}
  local reply = redis.pcall(unpack(read))
  if reply and reply.err then
    redis.call('XGROUP', 'CREATE', stream, group, 0, 'MKSTREAM')
    reply = redis.call(unpack(read))
  end
  if not reply then return nil end
  local entry = reply[1][2][1]
  return entry[1], entry[2][2]
end

local at = now()
announce(worker, info, at)
while true do
  local first = head()
  if not first then return false end
  local stream = redis.call('HGET', key('job', first.id), 'stream')
  if not stream then
    -- Only a hand in the database removes a job that waits.
    redis.call('ZREM', key('waiting', first.lane), first.id)
  else
    local entry, id = deliver(stream)
    if not entry then
      -- Only a hand in the database removes a waiting job's entry.
      enter(first.id, 'returned')
    elseif redis.call('HGET', key('job', id), 'entry') ~= entry then
      redis.call('XACK', stream, group, entry)
      redis.call('XDEL', stream, entry)
    elseif redis.call('HGET', key('job', id), 'state') == 'queued' then
      local job = key('job', id)
      local attempt = redis.call('HINCRBY', job, 'attempt', 1)
      redis.call('HSET', job, 'state', 'running', 'started_at', at, 'worker', worker)
      redis.call('ZREM', key('waiting', redis.call('HGET', job, 'lane')), id)
      return {attempt, fields(id)}
    end
  end
end
