-- Keeps a lease, or takes one that nobody holds.
-- KEYS: the lease. ARGV: who asks, how long it is to last in milliseconds.
-- Answers: 1 when it is held now by who asks.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
