-- ARGV: the most deliveries to take, lease in milliseconds, how many are under way for each client and to each
-- receiver (JSON), the most for a client, the most to a receiver, how many of each to look at
-- Answers the fields of each that is due; who takes one has it for the lease. Clients have turns, and the receivers
-- of each: one that had its turn comes behind all that waited as long.
local limit, lease, under_way = tonumber(ARGV[1]), tonumber(ARGV[2]), cjson.decode(ARGV[3])
local per_client, per_receiver, looked_at = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local at = even_now()
go_on_when_full()

-- Versions of this program before turns put all into one set.
for _, id in ipairs(redis.call('ZRANGE', key('deliveries'), 0, 99)) do
  local due = redis.call('ZSCORE', key('deliveries'), id)
  local url = redis.call('HGET', key('delivery', id), 'url')
  redis.call('ZREM', key('deliveries'), id)
  if url then
    redis.call('HSET', key('delivery', id), 'client', '', 'receiver', receiver_of(url))
    schedule(id, '', receiver_of(url), due)
  end
end

local function ready(turns)
  return redis.call('ZRANGEBYSCORE', turns, '-inf', at, 'LIMIT', 0, looked_at)
end

-- When the first of a set is due; nothing for an empty one.
local function first(set)
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  return head[1], tonumber(head[2])
end

-- Sets when something has its next turn, by what is left of it.
local function turn(turns, name, rest, had_one)
  local _, due = first(rest)
  if not due then
    redis.call('ZREM', turns, name)
  else
    redis.call('ZADD', turns, had_one and math.max(due, at) or due, name)
  end
end

local function take_from(client, receiver)
  local set, taken = key('posts', client, receiver), nil
  while not taken do
    local id, due = first(set)
    if not id or due > at then break end
    if redis.call('EXISTS', key('delivery', id)) == 1 then
      redis.call('HINCRBY', key('delivery', id), 'attempt', 1)
      redis.call('ZADD', set, at + lease, id)
      taken = redis.call('HGETALL', key('delivery', id))
    else
      redis.call('ZREM', set, id)
    end
  end
  turn(key('posts', client), receiver, set, taken)
  return taken
end

local function take(client)
  local taken
  for _, receiver in ipairs(ready(key('posts', client))) do
    local under_way_to = under_way.receivers[receiver] or 0
    if not taken and under_way_to < per_receiver then
      taken = take_from(client, receiver)
      if taken then under_way.receivers[receiver] = under_way_to + 1 end
    end
  end
  turn(key('posts'), client, key('posts', client), taken)
  return taken
end

local answer = {}
repeat
  local before = #answer
  for _, client in ipairs(ready(key('posts'))) do
    local under_way_for = under_way.clients[client] or 0
    if #answer < limit and under_way_for < per_client then
      local taken = take(client)
      if taken then
        under_way.clients[client] = under_way_for + 1
        table.insert(answer, taken)
      end
    end
  end
until #answer == before
return answer
