-- ARGV: id, attempt, worker, id of this call, state, event, error or ''
local id, attempt, worker, call, state, event, failure = unpack(ARGV)
local job = key('job', id)
-- The call is repeated when its first answer was lost.
if redis.call('HGET', job, 'ended_by') == call then return standing(id) end
if not holds(id, attempt, worker) then return LOST end
allow_when_full()
redis.call('HSET', job, 'ended_by', call)
if failure ~= '' then redis.call('HSET', job, 'error', failure) end
redis.call('ZADD', key('seen'), 'XX', even_now(), worker)
over(id, state, event, now())
return standing(id)
