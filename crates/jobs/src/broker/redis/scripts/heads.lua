-- ARGV: ids
local heads = {}
for n, id in ipairs(ARGV) do
  local job = redis.call('HMGET', key('job', id), 'seq', 'state', 'finished_at')
  heads[n] = {}
  if job[1] then
    heads[n] = {tonumber(job[1]), job[3] and 1 or 0, job[2] == 'queued' and position(id) or -1}
  end
end
return heads
