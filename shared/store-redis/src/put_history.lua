-- Adds entries to one user's history. After history.lua.
-- KEYS: clicks, shown
-- ARGV: number of clicked entries; these, then those only shown, each as its name and its details
local clicks, shown = KEYS[1], KEYS[2]
local last_click = tonumber(ARGV[1]) * 2
for n = 2, #ARGV, 2 do
    enter(clicks, shown, n <= last_click, ARGV[n], ARGV[n + 1])
end
