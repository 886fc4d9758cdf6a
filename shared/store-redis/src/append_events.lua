-- Appends events of one user, whole or not at all. The rules are those of effect.rs. After history.lua.
-- KEYS: clicks, shown, events, times, showings
-- ARGV: seconds for which a user's events are kept after the last one; seconds for which a repeat is
--   told what it counts; now, in seconds since 1970. Then per event: id, its time, its bytes, a mark of its content, 'c' (positive)
--   or 's', its weight, what names its showing ('': none), name and details of its history entry
-- Returns, per event: 1 if it was new, else 0; what it counts: 'i' an impression, 'c' a click,
--   'b' both, '-' nothing; what it adds to the item's popularity. A repeat counts the same again, for
--   whoever counts may have been interrupted; counting knows what it has counted.
local memory, recount, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local clicks_key, shown_key, events_key, times_key, showings_key =
    KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local reply, n, wrote = {}, 0, false
for a = 4, #ARGV, 9 do
    local id, at, event, mark = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
    local kind, weight, showing = ARGV[a + 4], tonumber(ARGV[a + 5]), ARGV[a + 6]
    local name, details = ARGV[a + 7], ARGV[a + 8]
    local before = redis.call('HGET', events_key, id)
    local fresh, counts, added = 0, '-', 0
    if before then
        local told, written, weighed, of = struct.unpack('>c1I4dc8', before)
        -- Another event under the same id counts nothing.
        if of == mark and written > now - recount then
            counts, added = told, weighed
        end
    else
        fresh = 1
        local known, known_weight, entry = false, 0, ''
        local state = showing ~= '' and redis.call('HGET', showings_key, showing)
        if state then
            known, known_weight = struct.unpack('>c1d', state)
            entry = string.sub(state, 10)
        end
        local counted = known_weight
        if math.abs(weight) > math.abs(counted)
            or (math.abs(weight) == math.abs(counted) and weight > counted) then
            counted = weight
        end
        added = counted - known_weight
        if not known then
            counts = kind == 'c' and 'b' or 'i'
        elseif kind == 'c' and known ~= 'c' then
            counts = 'c'
        end
        redis.call('HSET', events_key, id, struct.pack('>c1I4dc8', counts, now, added, mark) .. event)
        redis.call('ZADD', times_key, at, id)
        wrote = true
        if counts ~= '-' then
            if known then
                drop(shown_key, entry)
            end
            enter(clicks_key, shown_key, kind == 'c', name, details)
            known, entry = kind, name
        elseif added ~= 0 and entry ~= '' then
            retell(known == 'c' and clicks_key or shown_key, entry, details)
        end
        if showing ~= '' and (counts ~= '-' or added ~= 0) then
            redis.call('HSET', showings_key, showing, struct.pack('>c1d', known, counted) .. entry)
        end
    end
    reply[n + 1], reply[n + 2], reply[n + 3] = fresh, counts, string.format('%.17g', added)
    n = n + 3
end
if wrote then
    redis.call('EXPIRE', events_key, memory)
    redis.call('EXPIRE', times_key, memory)
    redis.call('EXPIRE', showings_key, memory)
end
return reply
