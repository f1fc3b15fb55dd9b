-- Answers what the server that holds the queue says of itself.
return redis.call('INFO')
