-- Counts one bucket of a rate limit, with all its windows, at once: runs in Redis or Valkey, called by
-- src/store/counted.rs. The time is that of the server, so gateways need not agree on theirs. What it says of
-- a window is what src/limit/window.rs says of one.
--
-- KEYS[1]  the bucket
-- ARGV     "take", least, most, 0: as many as may be taken, no more than most; none, if fewer than least
--          or "correct", by, 0, when: takes more, whether it is there or not, or puts back what was taken then
--          and for each window: f, nanoseconds for one, nanoseconds for all; d or m, how many, 0
-- The value holds two numbers for each window: the second and nanosecond at which nothing would be used any
-- more; or the number of the day or month, and what was used of it.
-- Answers what was taken, the time, and for each window what is owed in nanoseconds, or used.

local time = redis.call('TIME')
local now, nanos = tonumber(time[1]), tonumber(time[2]) * 1000
local what, first, second, taken = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local floor, max, min = math.floor, math.max, math.min
local SECOND = 1000000000
local YEAR = 365 * 24 * 3600 * SECOND

-- The number of the day or month that a moment is in, counted from 1970.
local function number(kind, unix)
  local day = floor(unix / 86400)
  if kind == 'd' then
    return day
  end
  -- Years begin in March here, so that leap days come last.
  local days = day + 719468
  local era = floor(days / 146097)
  local of_era = days - era * 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * of_year + 2) / 153) + 2
  return (year + era * 400 - 1970) * 12 + month
end

local words = {}
local value = redis.call('GET', KEYS[1])
if value then
  for word in string.gmatch(value, '%d+') do
    words[#words + 1] = tonumber(word)
  end
end

local windows = (#ARGV - 4) / 3
local levels, granted = {}, second
for i = 1, windows do
  local kind, one, all = ARGV[3 * i + 2], tonumber(ARGV[3 * i + 3]), tonumber(ARGV[3 * i + 4])
  local word, more = words[2 * i - 1] or 0, words[2 * i] or 0
  if kind == 'f' then
    local owed = max((word - now) * SECOND + more - nanos, 0)
    levels[i] = owed
    granted = min(granted, floor((all - owed) / one))
  else
    local used = word == number(kind, now) and more or 0
    levels[i] = used
    granted = min(granted, one - used)
  end
end

local by = first
if what == 'take' then
  if granted < max(first, 1) then
    granted = 0
  end
  by = granted
end

if by ~= 0 then
  local state, life = {}, 1000
  for i = 1, windows do
    local kind, one, all = ARGV[3 * i + 2], tonumber(ARGV[3 * i + 3]), tonumber(ARGV[3 * i + 4])
    if kind == 'f' then
      local owed = min(max(levels[i] + by * one, 0), max(YEAR, all))
      local free = nanos + owed
      levels[i] = owed
      state[2 * i - 1] = string.format('%.0f', now + floor(free / SECOND))
      state[2 * i] = string.format('%.0f', free % SECOND)
      life = max(life, floor(owed / 1000000) + 1000)
    else
      local current = number(kind, now)
      -- Nothing is put back into another day.
      if by > 0 or taken == 0 or number(kind, taken) == current then
        levels[i] = max(levels[i] + by, 0)
      end
      state[2 * i - 1] = string.format('%.0f', current)
      state[2 * i] = string.format('%.0f', levels[i])
      life = max(life, (kind == 'd' and 2 or 32) * 86400000)
    end
  end
  redis.call('SET', KEYS[1], table.concat(state, ' '), 'PX', string.format('%.0f', life))
end

local answer = { granted, now }
for i = 1, windows do
  answer[i + 2] = levels[i]
end
return answer
