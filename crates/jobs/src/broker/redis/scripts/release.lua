-- ARGV: id, attempt, worker, Requeued, Cancelled
local id, attempt, worker, requeued, cancelled = unpack(ARGV)
if not holds(id, attempt, worker) then return LOST end
allow_when_full()
local answer = standing(id)
give_back(id, requeued, cancelled, now())
return answer
