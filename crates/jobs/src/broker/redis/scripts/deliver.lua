-- ARGV: the most deliveries to take, lease in milliseconds
-- Answers the fields of each that is due; who takes one has it for the lease.
local at = now()
local answer = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('deliveries'), '-inf', at, 'LIMIT', 0, ARGV[1])) do
  local delivery = key('delivery', id)
  if redis.call('EXISTS', delivery) == 1 then
    redis.call('HINCRBY', delivery, 'attempt', 1)
    redis.call('ZADD', key('deliveries'), at + ARGV[2], id)
    table.insert(answer, redis.call('HGETALL', delivery))
  else
    redis.call('ZREM', key('deliveries'), id)
  end
end
return answer
