-- ARGV: worker, WorkerInfo
allow_when_full()
announce(ARGV[1], ARGV[2])
