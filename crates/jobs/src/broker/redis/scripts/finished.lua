-- ARGV: age in milliseconds, offset, limit
-- Answers the ids of the jobs that ended longer ago, the oldest first, and whether there may be more.
local before, from = even_now() - tonumber(ARGV[1]), tonumber(ARGV[2])
local found = redis.call('ZRANGE', key('finished'), from, from + tonumber(ARGV[3]) - 1, 'WITHSCORES')
local ids = {}
for i = 1, #found, 2 do
  if tonumber(found[i + 1]) >= before then return {ids, 0} end
  table.insert(ids, found[i])
end
return {ids, #ids == tonumber(ARGV[3]) and 1 or 0}
