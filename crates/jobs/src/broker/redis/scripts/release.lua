-- ARGV: id, attempt, worker, Requeued, Cancelled
local id, attempt, worker, requeued, cancelled = unpack(ARGV)
if not holds(id, attempt, worker) then return LOST end
local answer = standing(id)
give_back(id, requeued, cancelled, now())
return answer
