-- How scripts write a user's history, put before them. A member begins with an entry's time and item,
-- which name it; action and value follow (keys.rs).
local function ends(name)
    return '[' .. name, '(' .. name .. '\255'
end
local function drop(set, name)
    redis.call('ZREMRANGEBYLEX', set, ends(name))
end
local function find(set, name)
    return redis.call('ZRANGEBYLEX', set, ends(name))
end
-- Of an item and time there is one entry: clicked, if any was; of two of one kind the one whose action
-- and value are the later bytes.
local function enter(clicks, shown, clicked, name, details)
    if not clicked and #find(clicks, name) > 0 then
        return
    end
    if clicked then
        drop(shown, name)
    end
    local set = clicked and clicks or shown
    redis.call('ZADD', set, 0, name .. details)
    local found = find(set, name)
    for n = 1, #found - 1 do
        redis.call('ZREM', set, found[n])
    end
end
-- Gives an entry that is there another action and value.
local function retell(set, name, details)
    if #find(set, name) > 0 then
        drop(set, name)
        redis.call('ZADD', set, 0, name .. details)
    end
end
