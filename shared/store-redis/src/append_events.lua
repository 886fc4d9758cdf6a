-- Appends events of one user, whole or not at all. The rules are those of exposure.rs.
-- KEYS: clicks, shown, then per event: event, exposure
-- ARGV: seconds for which events and exposures are remembered; seconds for which a repeat is told
--   what it counts. Then per event: its bytes, 'c' or 's', whether it has a request ('1' or ''),
--   item id, history entry
-- Returns, per event: 1 if it was new, else 0; what it counts: 'i' an impression, 'c' a click,
--   'b' both, '-' nothing. A repeat counts the same again, for whoever counts may have been
--   interrupted; counting knows what it has counted.
local memory, recount = ARGV[1], tonumber(ARGV[2])
local clicks_key, shown_key = KEYS[1], KEYS[2]
local reply = {}
for n = 1, (#KEYS - 2) / 2 do
    local a = 2 + (n - 1) * 5
    local event_key, exposure_key = KEYS[n * 2 + 1], KEYS[n * 2 + 2]
    local event, kind, item, entry = ARGV[a + 1], ARGV[a + 2], ARGV[a + 4], ARGV[a + 5]
    local has_request = ARGV[a + 3] == '1'
    local before = redis.call('GET', event_key)
    local fresh, counts = 0, '-'
    if before then
        -- Another event under the same id counts nothing.
        local same = string.sub(before, 2) == event
        if same and redis.call('TTL', event_key) > tonumber(memory) - recount then
            counts = string.sub(before, 1, 1)
        end
    else
        fresh = 1
        local known = has_request and redis.call('HGET', exposure_key, item)
        if not known then
            counts = kind == 'c' and 'b' or 'i'
        elseif kind == 'c' and known ~= 'c' then
            counts = 'c'
        end
        redis.call('SET', event_key, counts .. event, 'EX', memory)
        if counts ~= '-' then
            if known then
                redis.call('ZREM', shown_key, string.sub(known, 2))
            end
            if kind == 'c' then
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
    end
    reply[n * 2 - 1], reply[n * 2] = fresh, counts
end
return reply
