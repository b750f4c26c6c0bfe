-- Links what says the same twice.
--
-- check, a hook after engram_create: each new engram is compared with those
-- that a search finds for it. Two are near-duplicates if they have the same
-- words that count, apart from their order, endings, slips of the hand and a
-- few more words on one side. A number, a name, a negation or one word in the
-- place of another makes two statements of them. The new engram is linked
-- `near_duplicate` to the old one, with the similarity as weight.
--
-- config: "threshold", the least similarity (0.85); "most", how many engrams
-- of a batch are looked at.

local function set(words)
  local s = {}
  for w in string.gmatch(words, "%S+") do s[w] = true end
  return s
end

-- Words that tell little about what a sentence says.
local STOP = set [[
  a about actually also am an and are as at basically be been but by can did do does for from had has have he her
  hers him his i in is it its just me my of on or our please really she so that the their them there these they
  this those to us very was we well were which who will with you your that's it's i'm ]]

-- Words that turn a statement round.
local NOT = set [[
  not no never none nobody nothing without don't doesn't isn't aren't wasn't won't can't cannot didn't hasn't
  haven't shouldn't longer anymore stopped former formerly except only if unless before after almost failed off
  out up down ]]

-- Words with something on either side of them.
local SIDES = set "over than before after instead into until since via"

-- A letter in lower case: Latin, Greek and Cyrillic.
local function small(letter)
  local n = utf8.codepoint(letter)
  local even = n >= 0x100 and n <= 0x137 or n >= 0x14a and n <= 0x177
  local odd = n >= 0x139 and n <= 0x148
  local by = 0
  if n >= 0xc0 and n <= 0xde and n ~= 0xd7 or n >= 0x391 and n <= 0x3a9 or n >= 0x410 and n <= 0x42f then by = 32
  elseif n >= 0x400 and n <= 0x40f then by = 80
  elseif even and n % 2 == 0 or odd and n % 2 == 1 then by = 1 end
  return utf8.char(n + by)
end

local function lower(text) return (string.gsub(string.lower(text), "[\xc3-\xd1][\x80-\xbf]", small)) end

-- A word without the endings that change with its place in a sentence.
local function stem(word)
  word = string.gsub(word, "'s$", "")
  if #word <= 3 or string.find(word, "[\x80-\xff]") then return word end
  if string.find(word, "sses$") then return string.sub(word, 1, -3) end
  if string.find(word, "ies$") then return string.sub(word, 1, -4) end
  if string.find(word, "y$") or string.find(word, "[^sui]s$") then return string.sub(word, 1, -2) end
  return word
end

-- The words of a text: runs of letters and digits, with a single - ' . _
-- inside of them. Bytes above ASCII are letters, but for marks and symbols.
local function words(text)
  text = string.gsub(text, "\xe2[\x80-\xaf][\x80-\xbf]", " ")
  text = string.gsub(string.gsub(text, "\xc2[\x80-\xbf]", " "), "\xf0\x9f[\x80-\xbf]+", " ")
  text = string.gsub(text, "[-'._][-'._]+", " ")
  local list = {}
  for word in string.gmatch(text, "[%w\x80-\xff][%w\x80-\xff'._-]*") do
    word = string.gsub(word, "[-'._]$", "")
    local low = lower(word)
    local capital = string.match(low, utf8.charpattern) ~= string.match(word, utf8.charpattern)
    list[#list + 1] = { text = low, stem = stem(low), capital = capital, digit = string.find(word, "%d") ~= nil }
  end
  return list
end

-- The words that say something by themselves.
local function counting(list)
  local kept = {}
  for _, w in ipairs(list) do
    if not STOP[w.text] then kept[#kept + 1] = w end
  end
  return kept
end

-- Whether at most so many letters must be put in, left out, changed or swapped
-- with the next one to make b of a. Only places near each other are compared.
local function close(a, b, most)
  a, b = { utf8.codepoint(a, 1, -1) }, { utf8.codepoint(b, 1, -1) }
  if math.abs(#a - #b) > most then return false end
  local far = most + 1
  local above, row = {}, {}
  for j = 0, most do row[j] = j end
  for i = 1, #a do
    local next, least = { [0] = i }, far
    for j = math.max(1, i - most), math.min(#b, i + most) do
      local n = (row[j - 1] or far) + (a[i] == b[j] and 0 or 1)
      local left, up = next[j - 1] or far, row[j] or far
      if left < n then n = left + 1 end
      if up < n then n = up + 1 end
      if i > 1 and j > 1 and a[i] == b[j - 1] and a[i - 1] == b[j] then n = math.min(n, (above[j - 2] or far) + 1) end
      next[j] = n
      if n < least then least = n end
    end
    if least > most and i > most then return false end
    above, row = row, next
  end
  return (row[#b] or far) <= most
end

-- The same word, but for case, ending and, in longer words that are no names
-- or numbers, a slip of the hand.
local function same(a, b)
  if a.stem == b.stem then return true end
  local shortest = math.min(#a.text, #b.text)
  if shortest < 5 or a.capital or b.capital or a.digit or b.digit then return false end
  return close(a.text, b.text, shortest >= 9 and 2 or 1)
end

local function any_same(word, list)
  for _, w in ipairs(list) do
    if same(word, w) then return true end
  end
  return false
end

-- The most numbers of a list that rise from left to right.
local function in_order(list)
  local best, most = {}, 0
  for i, x in ipairs(list) do
    best[i] = 1
    for j = 1, i - 1 do
      if list[j] < x then best[i] = math.max(best[i], best[j] + 1) end
    end
    most = math.max(most, best[i])
  end
  return most
end

-- The places in b of the words of a that it has, and the words of each that
-- have no place in the other; nil if both have such words.
local function pair(a, b)
  local taken, places, left = {}, {}, {}
  for _, w in ipairs(a) do
    local place
    for i, v in ipairs(b) do
      if not taken[i] and same(w, v) then place = i break end
    end
    if place then
      taken[place] = true
      places[#places + 1] = place
    else
      left[#left + 1] = w
      if #left > math.max(0, #a - #b) then return nil end
    end
  end
  local right = {}
  for i, v in ipairs(b) do
    if not taken[i] then right[#right + 1] = v end
  end
  if #left > 0 and #right > 0 then return nil end
  return places, left, right
end

-- Whether a number or a negation is only in a list, not in the other one.
local function turned(list, other)
  for _, w in ipairs(list) do
    if (w.digit or NOT[w.text]) and not any_same(w, other) then return true end
  end
  return false
end

-- How much two lists of words say the same: 0 to 1, in hundredths.
local function similarity(a, b)
  if #a == 0 or #b == 0 then return 0 end
  local places, left, right = pair(a, b)
  -- What only one of them says must not change what the other says.
  if not places or turned(left, b) or turned(right, a) then return 0 end
  local bag = 2 * #places / (#a + #b)
  local order = in_order(places) / math.max(1, #places)
  -- "Tea over coffee" is not "coffee over tea", nor "Ada calls Ben" "Ben calls Ada".
  if order < 0.5 then return 0 end
  for _, w in ipairs(a) do
    if order < 1 and SIDES[w.text] then return 0 end
  end
  return math.floor((0.8 * bag + 0.2 * order) * 100 + 0.5) / 100
end

-- The first letters of a text, as a query.
local function head(text)
  return string.sub(text, 1, (utf8.offset(text, 401) or #text + 1) - 1)
end

-- The words of what a search finds for a text, by the ids of the engrams.
local function alike(content, batch)
  local others = {}
  for _, hit in ipairs(engram.search { query = head(content), limit = 20, mode = "text", fields = { "id", "content" } }) do
    if not batch[hit.id] then others[#others + 1] = { id = hit.id, words = counting(words(hit.content)) } end
  end
  return others
end

function tool_check(params)
  local made, told = params.result.engrams or {}, params.args.engrams or {}
  local batch = {}
  for _, new in ipairs(made) do batch[new.id] = true end

  local seen, links = {}, {}
  for i = 1, math.min(#made, #told, config.most or 50) do
    local id, content = made[i].id, told[i].content
    local all = words(content)
    if not made[i].duplicate and #all >= 3 then
      local ours, others = counting(all), alike(content, batch)
      for _, other in ipairs(table.move(seen, 1, #seen, #others + 1, others)) do
        local weight = similarity(ours, other.words)
        if weight >= (config.threshold or 0.85) then
          links[#links + 1] = { from = id, to = other.id, relation = "near_duplicate", weight = weight }
        end
      end
      seen[#seen + 1] = { id = id, words = ours }
    end
  end
  if #links == 0 then return {} end

  engram.link(links)
  local list = {}
  for i, l in ipairs(links) do list[i] = { id = l.from, of = l.to, weight = l.weight } end
  return { result = { annotation = { near_duplicates = list } } }
end
