-- ARGV: id, Cancelled, CancelRequested
local id, cancelled, requested = unpack(ARGV)
if not exists(id) then return false end
allow_when_full()
local job = redis.call('HMGET', key('job', id), 'state', 'cancel_requested')
if job[1] == 'queued' then
  over(id, 'cancelled', cancelled, now())
elseif job[1] == 'running' and job[2] == '0' then
  redis.call('HSET', key('job', id), 'cancel_requested', 1)
  emit(id, requested, now())
end
return {position(id), fields(id)}
