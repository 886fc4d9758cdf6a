-- How a stream stands and what it has after an entry, in one view of it.
-- KEYS: the stream. ARGV: the entry's id, most entries wanted.
-- Answers: entries it was ever given, entries it has, id of the last one it was given, entries.
if redis.call('EXISTS', KEYS[1]) == 0 then
    return {0, 0, '0-0', {}}
end
local info = redis.call('XINFO', 'STREAM', KEYS[1])
local of = {}
for at = 1, #info, 2 do
    of[info[at]] = info[at + 1]
end
local entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
return {of['entries-added'], of['length'], of['last-generated-id'], entries}
