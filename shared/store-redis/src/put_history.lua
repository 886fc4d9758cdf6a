-- Adds entries to one user's history. Of an item and time there is one entry: clicked, if any was.
-- KEYS: clicks, shown
-- ARGV: number of clicked entries, these, then those only shown
local clicks, shown = KEYS[1], KEYS[2]
local last_click = tonumber(ARGV[1]) + 1
for n = 2, #ARGV do
    local entry = ARGV[n]
    if n <= last_click then
        redis.call('ZREM', shown, entry)
        redis.call('ZADD', clicks, 0, entry)
    elseif not redis.call('ZSCORE', clicks, entry) then
        redis.call('ZADD', shown, 0, entry)
    end
end
