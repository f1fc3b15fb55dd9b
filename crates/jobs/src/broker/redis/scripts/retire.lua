-- ARGV: worker
retire(ARGV[1])
