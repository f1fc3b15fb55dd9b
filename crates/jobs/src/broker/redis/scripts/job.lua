-- ARGV: id
if not exists(ARGV[1]) then return false end
return {position(ARGV[1]), fields(ARGV[1])}
