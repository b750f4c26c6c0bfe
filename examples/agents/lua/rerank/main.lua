-- Puts hits into another order, by rules.
--
-- order, a hook after engram_search: a hit's score, as a share of the best
-- one's, and the boosts of the rules that it meets add up; equal hits stay in
-- their order. A rule names a value of a hit's field, or an age:
--
--   {"field": "tags", "is": "pinned", "boost": 0.5}
--   {"field": "metadata.status", "is": "approved", "boost": 0.3}
--   {"half_life_days": 30, "boost": 0.2}
--
-- A rule of age gives its boost to the newest of the hits, half of it to one
-- that is half_life_days older, a third at twice that, and so on. A boost can
-- be negative.
--
-- config: "rules". Rules see the fields that the search shows.

-- When a hit happened or was stored, in days since 1970.
local function day(hit)
  local y, m, d, clock = string.match(hit.valid_from or hit.created_at or "", "^(%d%d%d%d)-(%d%d)-(%d%d)(.*)")
  if not y then return nil end
  y, m, d = tonumber(y), tonumber(m), tonumber(d)
  -- March is the first month of a year here, so that the leap day is its last.
  if m > 2 then m = m - 3 else y, m = y - 1, m + 9 end
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 + d - 719469
  local hour, minute, second = string.match(clock, "^T(%d%d):(%d%d):(%d%d)")
  if not hour then return days end
  return days + (hour * 3600 + minute * 60 + second) / 86400
end

local function field(hit, path)
  local value = hit
  for key in string.gmatch(path, "[^.]+") do
    if type(value) ~= "table" then return nil end
    value = value[key]
  end
  return value
end

local function among(values, wanted)
  if type(values) ~= "table" then return false end
  for _, value in ipairs(values) do
    if value == wanted then return true end
  end
  return false
end

-- What a rule adds to a hit.
local function boost(rule, hit, newest)
  if type(rule.boost) ~= "number" then error { message = "a rule in the config has no boost" } end
  if type(rule.half_life_days) == "number" and rule.half_life_days > 0 then
    local at = day(hit)
    return at and rule.boost / (1 + (newest - at) / rule.half_life_days) or 0
  end
  if type(rule.field) ~= "string" or rule.is == nil or rule.is == json.null then
    error { message = "a rule in the config has neither field and is, nor half_life_days" }
  end
  local value = field(hit, rule.field)
  return (value == rule.is or among(value, rule.is)) and rule.boost or 0
end

function tool_order(params)
  local hits = params.result.hits or {}
  -- What is listed by time stays so.
  if (params.args.query or "") == "" or #hits < 2 then return {} end

  local best, newest = 0, -math.huge
  for _, hit in ipairs(hits) do
    best = math.max(best, hit.score or 0)
    newest = math.max(newest, day(hit) or newest)
  end

  local ranked = {}
  for at, hit in ipairs(hits) do
    local sum = best > 0 and (hit.score or 0) / best or 0
    for _, rule in ipairs(config.rules or {}) do sum = sum + boost(rule, hit, newest) end
    ranked[at] = { at = at, id = hit.id, sum = sum }
  end
  table.sort(ranked, function(a, b) return a.sum > b.sum or a.sum == b.sum and a.at < b.at end)

  local moved, order = false, json.array()
  for i, hit in ipairs(ranked) do
    moved = moved or hit.at ~= i
    order[i] = { id = hit.id }
  end
  return moved and { result = { hits = order } } or {}
end
