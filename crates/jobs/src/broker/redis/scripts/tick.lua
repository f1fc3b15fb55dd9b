-- ARGV: 1 from a process that has just started
-- Advances the queue's own time (see `even_now`).
allow_when_full()
local wall, last = now(), redis.call('HMGET', key('clock'), 'wall', 'even')
local even = wall
if last[1] then
  local passed = math.max(wall - last[1], 0)
  even = last[2] + math.min(passed, GAP)
  if passed > GAP then
    -- The clock of Redis was set, or Redis was down: no lease could be renewed, so all leases start anew. For a
    -- process that starts, the service was down, and that time counts.
    if ARGV[1] == '1' then even = last[2] + passed end
    for _, name in ipairs({'leases', 'seen'}) do
      for _, member in ipairs(redis.call('ZRANGE', key(name), 0, -1)) do
        redis.call('ZADD', key(name), even, member)
      end
    end
  end
end
redis.call('HSET', key('clock'), 'wall', wall, 'even', even)
