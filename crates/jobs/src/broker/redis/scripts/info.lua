-- Answers the INFO of the server that holds the queue.
return redis.call('INFO')
