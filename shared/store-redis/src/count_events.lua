-- Adds events to one item's statistics, each once.
-- KEYS: the statistics, then per event: whether it was counted
-- ARGV: seconds for which that is remembered, half-life of popularity in milliseconds, then per event:
--   'i', 'c', 'b' or '-' and what it adds to the popularity (append_events.lua), its time
local stats, half_life = KEYS[1], tonumber(ARGV[2])
local impressions, clicks, changed = 0, 0, false
local known = redis.call('HMGET', stats, 'p', 'pt')
local popularity, at = tonumber(known[1] or '0'), tonumber(known[2] or '0')
for n = 2, #KEYS do
    if redis.call('SET', KEYS[n], '', 'NX', 'EX', ARGV[1]) then
        local a = n * 3 - 3
        local counts, added, time = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
        if counts == 'i' or counts == 'b' then impressions = impressions + 1 end
        if counts == 'c' or counts == 'b' then clicks = clicks + 1 end
        if added ~= 0 then
            if popularity == 0 then
                popularity, at = added, time
            elseif time > at then
                popularity, at = popularity * 2 ^ ((at - time) / half_life) + added, time
            else
                popularity = popularity + added * 2 ^ ((time - at) / half_life)
            end
            changed = true
        end
    end
end
if impressions > 0 then redis.call('HINCRBY', stats, 'n', impressions) end
if clicks > 0 then redis.call('HINCRBY', stats, 'c', clicks) end
if changed then
    redis.call('HSET', stats, 'p', string.format('%.17g', popularity), 'pt', string.format('%.0f', at))
end
