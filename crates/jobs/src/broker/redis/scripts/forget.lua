-- ARGV: id
local id = ARGV[1]
local job = redis.call('HMGET', key('job', id), 'finished_at', 'idempotency')
if not job[1] then return 0 end
redis.call('DEL', key('job', id), key('events', id))
redis.call('ZREM', key('finished'), id)
-- The key may belong to a later job by now.
if job[2] ~= '' and redis.call('HGET', key('idempotency', job[2]), 'job') == id then
  redis.call('DEL', key('idempotency', job[2]))
end
return 1
