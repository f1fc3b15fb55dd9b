-- ARGV: delivery, attempt, milliseconds until the retry or -1 for none
local id, attempt, wait = ARGV[1], ARGV[2], tonumber(ARGV[3])
local delivery = redis.call('HMGET', key('delivery', id), 'attempt', 'client', 'receiver')
if not delivery[1] then return end
local client, receiver = delivery[2] or '', delivery[3] or ''
allow_when_full()
if wait < 0 then
  redis.call('ZREM', key('posts', client, receiver), id)
  redis.call('DEL', key('delivery', id))
elseif delivery[1] == attempt then
  schedule(id, client, receiver, even_now() + wait)
end
