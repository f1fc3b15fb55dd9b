-- ARGV: worker, WorkerInfo
announce(ARGV[1], ARGV[2], now())
