-- ARGV: id, attempt, worker, event, then changed fields, each with its value
local id, attempt, worker, event = unpack(ARGV, 1, 4)
if not holds(id, attempt, worker) then return LOST end
allow_when_full()
if #ARGV > 4 then
  redis.call('HSET', key('job', id), unpack(ARGV, 5))
end
emit(id, event, now())
renew(id, worker)
return standing(id)
