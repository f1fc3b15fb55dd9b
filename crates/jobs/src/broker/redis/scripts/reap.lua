-- ARGV: lease in milliseconds, attempts, Requeued, Cancelled, Failed, its error
-- Answers the ids of the jobs whose lease expired.
local lease, attempts = tonumber(ARGV[1]), tonumber(ARGV[2])
local requeued, cancelled, failed, failure = unpack(ARGV, 3, 6)
local reaped = {}

local at, even = now(), even_now()
allow_when_full()

local function lose(id)
  local job = key('job', id)
  local lost = redis.call('HINCRBY', job, 'lost', 1)
  if lost >= attempts and redis.call('HGET', job, 'cancel_requested') == '0' then
    redis.call('HSET', job, 'error', failure)
    over(id, 'failed', failed, at)
  else
    give_back(id, requeued, cancelled, at)
  end
  table.insert(reaped, id)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', even - lease, 'LIMIT', 0, 100)) do
  if redis.call('HGET', key('job', id), 'state') == 'running' then
    lose(id)
  else
    redis.call('ZREM', key('leases'), id)
  end
end

-- Jobs that an older version of this program took are not in `leases`: the idle time of their entry counts.
local taken = key('taken')
local idle = redis.pcall('XPENDING', taken, group, 'IDLE', lease, '-', '+', 100)
-- An error means that the stream does not exist yet.
for _, pending in ipairs(idle.err and {} or idle) do
  local entry = redis.call('XRANGE', taken, pending[1], pending[1])[1]
  local id = entry and entry[2][2]
  if not id or redis.call('HGET', key('job', id), 'entry') ~= pending[1] then
    redis.call('XACK', taken, group, pending[1])
    redis.call('XDEL', taken, pending[1])
  elseif not redis.call('ZSCORE', key('leases'), id) then
    lose(id)
  end
end

for _, worker in ipairs(redis.call('ZRANGEBYSCORE', key('seen'), '-inf', even - lease)) do
  retire(worker)
end
return reaped
