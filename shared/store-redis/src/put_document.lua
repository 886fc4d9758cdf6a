-- Writes a document whose revision is the one expected.
-- KEYS: the document. ARGV: the revision expected (0: there is none yet), the bytes.
-- Answers: the new revision; 0 where the document has another than expected.
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
if revision ~= tonumber(ARGV[1]) then
    return 0
end
redis.call('HSET', KEYS[1], 'revision', revision + 1, 'bytes', ARGV[2])
return revision + 1
