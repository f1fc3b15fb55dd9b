-- ARGV: lease in milliseconds
-- Answers when each living worker was seen, and what it said of itself.
local alive = redis.call('ZRANGEBYSCORE', key('seen'), '(' .. now() - tonumber(ARGV[1]), '+inf', 'WITHSCORES')
local answer = {}
for i = 1, #alive, 2 do
  table.insert(answer, {tonumber(alive[i + 1]), redis.call('HGET', key('workers'), alive[i])})
end
return answer
