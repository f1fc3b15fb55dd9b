-- ARGV: 1 from a process that has just started
-- Moves the queue's own time on (see `even_now`).
go_on_when_full()
local wall, last = now(), redis.call('HMGET', key('clock'), 'wall', 'even')
local even = wall
if last[1] then
  local passed = math.max(wall - last[1], 0)
  even = last[2] + math.min(passed, GAP)
  if passed > GAP then
    -- Redis's clock was set, or was nobody's: nobody could renew a lease, so all get a whole one again. A process
    -- that starts finds that the service was down, and what grows old grew older.
    if ARGV[1] == '1' then even = last[2] + passed end
    for _, name in ipairs({'leases', 'seen'}) do
      for _, member in ipairs(redis.call('ZRANGE', key(name), 0, -1)) do
        redis.call('ZADD', key(name), even, member)
      end
    end
  end
end
redis.call('HSET', key('clock'), 'wall', wall, 'even', even)
