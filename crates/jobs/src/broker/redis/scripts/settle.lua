-- ARGV: delivery, attempt, milliseconds to the next one or -1 when there is to be none
local id, attempt, wait = ARGV[1], ARGV[2], tonumber(ARGV[3])
if wait < 0 then
  redis.call('ZREM', key('deliveries'), id)
  redis.call('DEL', key('delivery', id))
elseif redis.call('HGET', key('delivery', id), 'attempt') == attempt then
  redis.call('ZADD', key('deliveries'), now() + wait, id)
end
