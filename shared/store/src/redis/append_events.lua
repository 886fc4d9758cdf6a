-- Appends events, whole or not at all. The rules are those of exposure.rs.
-- ARGV[1]: seconds for which events and exposures are remembered. Then per event
-- KEYS: event, exposure, clicks, shown, stats
-- ARGV: the event's bytes, 'c' or 's', whether it has a request ('1' or ''), item id, history entry
-- Returns, per event, 1 if it was new, else 0.
local memory = ARGV[1]
local fresh = {}
for n = 1, #KEYS / 5 do
    local k, a = (n - 1) * 5, (n - 1) * 5 + 1
    local event_key, exposure_key = KEYS[k + 1], KEYS[k + 2]
    local clicks_key, shown_key, stats_key = KEYS[k + 3], KEYS[k + 4], KEYS[k + 5]
    local event, kind, item, entry = ARGV[a + 1], ARGV[a + 2], ARGV[a + 4], ARGV[a + 5]
    local has_request = ARGV[a + 3] == '1'
    if redis.call('SET', event_key, event, 'NX', 'EX', memory) then
        fresh[n] = 1
        local known = has_request and redis.call('HGET', exposure_key, item)
        if not known or (kind == 'c' and known ~= 'c') then
            if known then
                redis.call('ZREM', shown_key, string.sub(known, 2))
            else
                redis.call('HINCRBY', stats_key, 'n', 1)
            end
            if kind == 'c' then
                redis.call('HINCRBY', stats_key, 'c', 1)
                redis.call('ZREM', shown_key, entry)
                redis.call('ZADD', clicks_key, 0, entry)
            elseif not redis.call('ZSCORE', clicks_key, entry) then
                redis.call('ZADD', shown_key, 0, entry)
            end
            if has_request then
                redis.call('HSET', exposure_key, item, kind == 'c' and 'c' or ('s' .. entry))
                redis.call('EXPIRE', exposure_key, memory)
            end
        end
    else
        fresh[n] = 0
    end
end
return fresh
