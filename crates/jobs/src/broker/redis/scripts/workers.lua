-- ARGV: lease in milliseconds
-- Answers when each living worker was seen, by Redis's clock, and what it said of itself.
local at, even = now(), even_now()
local alive = redis.call('ZRANGEBYSCORE', key('seen'), '(' .. even - tonumber(ARGV[1]), '+inf', 'WITHSCORES')
local answer = {}
for i = 1, #alive, 2 do
  table.insert(answer, {at - (even - tonumber(alive[i + 1])), redis.call('HGET', key('workers'), alive[i])})
end
return answer
