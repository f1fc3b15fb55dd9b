-- Answers {queued, running}.
local waiting = queued()
return {waiting, redis.call('HLEN', key('active')) - waiting}
