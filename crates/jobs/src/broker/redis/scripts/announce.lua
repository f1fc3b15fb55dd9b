-- ARGV: worker, WorkerInfo
go_on_when_full()
announce(ARGV[1], ARGV[2])
