-- ARGV: limit, lease in milliseconds, deliveries in flight per client and per receiver (JSON), limit per client, limit
-- per receiver, number of clients (and receivers of each) to consider
-- Takes due deliveries for the lease and answers their fields. Clients take turns, and so do the receivers of each:
-- after its turn one goes behind all that are ready.
local limit, lease, in_flight = tonumber(ARGV[1]), tonumber(ARGV[2]), cjson.decode(ARGV[3])
local per_client, per_receiver, candidates = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local at = even_now()
allow_when_full()

-- Older versions of this program kept all deliveries in one set.
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
  return redis.call('ZRANGEBYSCORE', turns, '-inf', at, 'LIMIT', 0, candidates)
end

-- The first entry of a set and when it is due; nothing for an empty set.
local function first(set)
  local head = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
  return head[1], tonumber(head[2])
end

-- Sets the next turn of `name` by what is left in `rest`.
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
    local in_flight_to = in_flight.receivers[receiver] or 0
    if not taken and in_flight_to < per_receiver then
      taken = take_from(client, receiver)
      if taken then in_flight.receivers[receiver] = in_flight_to + 1 end
    end
  end
  turn(key('posts'), client, key('posts', client), taken)
  return taken
end

local answer = {}
repeat
  local before = #answer
  for _, client in ipairs(ready(key('posts'))) do
    local in_flight_for = in_flight.clients[client] or 0
    if #answer < limit and in_flight_for < per_client then
      local taken = take(client)
      if taken then
        in_flight.clients[client] = in_flight_for + 1
        table.insert(answer, taken)
      end
    end
  end
until #answer == before
return answer
