-- ARGV: id, attempt, worker
local id, attempt, worker = unpack(ARGV)
if not holds(id, attempt, worker) then return LOST end
renew(id, worker)
return standing(id)
