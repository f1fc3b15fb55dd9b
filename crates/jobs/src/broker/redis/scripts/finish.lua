-- ARGV: id, attempt, worker, a name for this call, state, event, error or ''
local id, attempt, worker, call, state, event, failure = unpack(ARGV)
local job = key('job', id)
-- The same call comes twice when the answer to the first got lost.
if redis.call('HGET', job, 'ended_by') == call then return standing(id) end
if not holds(id, attempt, worker) then return LOST end
go_on_when_full()
redis.call('HSET', job, 'ended_by', call)
if failure ~= '' then redis.call('HSET', job, 'error', failure) end
redis.call('ZADD', key('seen'), 'XX', even_now(), worker)
over(id, state, event, now())
return standing(id)
