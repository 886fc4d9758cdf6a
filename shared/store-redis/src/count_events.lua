-- Adds events to one item's statistics, each once.
-- KEYS: the statistics, then per event: whether it was counted
-- ARGV: seconds for which that is remembered, then per event: 'i', 'c' or 'b' (append_events.lua)
local impressions, clicks = 0, 0
for n = 2, #KEYS do
    if redis.call('SET', KEYS[n], '', 'NX', 'EX', ARGV[1]) then
        local counts = ARGV[n]
        if counts ~= 'c' then impressions = impressions + 1 end
        if counts ~= 'i' then clicks = clicks + 1 end
    end
end
if impressions > 0 then redis.call('HINCRBY', KEYS[1], 'n', impressions) end
if clicks > 0 then redis.call('HINCRBY', KEYS[1], 'c', clicks) end
