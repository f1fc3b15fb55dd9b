-- ARGV: id, upload, params, lane, class, priority, client, idempotency key or '', fingerprint, limit, limit per client,
-- Queued; with a webhook also its address and its events, each between spaces
local id, upload, params, lane, class, priority, client, idempotency, fingerprint = unpack(ARGV, 1, 9)
local limit, client_limit = tonumber(ARGV[10]), tonumber(ARGV[11])
local event, webhook, webhook_events = unpack(ARGV, 12)

-- The call is repeated when its first answer was lost.
if exists(id) then return {'queued', position(id), fields(id)} end

if idempotency ~= '' then
  local first = redis.call('HMGET', key('idempotency', idempotency), 'job', 'fingerprint')
  if first[1] and exists(first[1]) then
    if first[2] ~= fingerprint then return {'mismatch', 0, {}} end
    return {'repeated', position(first[1]), fields(first[1])}
  end
end

local waiting = queued()
if waiting >= limit then return {'full', waiting, {}} end
-- Jobs of class 0 were returned by a worker and do not count.
local own = 0
for other = 1, 3 do own = own + redis.call('ZCARD', share(other, client)) end
if own >= client_limit then return {'client_full', own, {}} end

local at = now()
redis.call('HSET', key('job', id), 'id', id, 'upload_id', upload, 'params', params, 'lane', lane,
  'class', class, 'priority', priority, 'client', client,
  'idempotency', idempotency, 'attempt', 0, 'lost', 0, 'cancel_requested', 0, 'created_at', at, 'queued_at', even_now(), 'seq', 0)
redis.call('HSET', key('active'), id, upload)
if idempotency ~= '' then
  redis.call('HSET', key('idempotency', idempotency), 'job', id, 'fingerprint', fingerprint)
end
if webhook then redis.call('HSET', key('job', id), 'webhook', webhook, 'webhook_events', webhook_events) end
enter(id, false)
emit(id, event, at)
return {'queued', position(id), fields(id)}
