-- ARGV: lease in milliseconds
-- Answers for each living worker when it was seen, by the clock of Redis, and its WorkerInfo.
local at, even = now(), even_now()
local alive = redis.call('ZRANGEBYSCORE', key('seen'), '(' .. even - tonumber(ARGV[1]), '+inf', 'WITHSCORES')
local answer = {}
for i = 1, #alive, 2 do
  table.insert(answer, {at - (even - tonumber(alive[i + 1])), redis.call('HGET', key('workers'), alive[i])})
end
return answer
