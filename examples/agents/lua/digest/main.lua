-- Keeps a summary of a context, made of its own sentences.
--
-- write: {"context": "standup", "sentences": 5} -> {"digests": [{"context",
-- "id", "state"}]}, where state is new, changed, same or empty. Without a
-- context it does so for every context of the newest engrams.
--
-- The sentences are those whose words come up most in the context, but not
-- everywhere; what has been picked counts less from then on, so that they tell
-- different things (after SumBasic). The summary is an engram of kind digest in
-- the same context, so that it is read by nobody who may not read the context,
-- and is linked `summarizes` to the engrams it quotes. Engrams in collections
-- are left out, because others may read those. The agent's globals keep what
-- each context looked like, and nothing is written when it still does.

-- The most engrams of a context that are looked at, the newest ones.
local MOST = 2000

-- Globals hold so many contexts; the ones written longest ago go first.
local KEPT = 300

-- Words that tell little about what a sentence says.
local STOP = {}
for word in string.gmatch([[
  a about actually also am an and are as at basically be been but by can did do does for from had has have he her
  hers him his i in is it its just me my of on or our please really she so that the their them there these they
  this those to us very was we well were which who will with you your that's it's i'm ]], "%S+") do STOP[word] = true end

-- ---- Words and sentences ----

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

-- A word without the endings that change with its place in a sentence.
local function stem(word)
  word = string.gsub(word, "'s$", "")
  if #word <= 3 or string.find(word, "[\x80-\xff]") then return word end
  if string.find(word, "sses$") then return string.sub(word, 1, -3) end
  if string.find(word, "ies$") then return string.sub(word, 1, -4) end
  if string.find(word, "y$") or string.find(word, "[^sui]s$") then return string.sub(word, 1, -2) end
  return word
end

-- The different words of a text that say something, without their endings.
-- Words are runs of letters and digits, with a single - ' . _ inside of them.
-- Bytes above ASCII are letters, but for marks and symbols.
local function stems(text)
  text = string.gsub(string.lower(text), "\xe2[\x80-\xaf][\x80-\xbf]", " ")
  text = string.gsub(string.gsub(text, "\xc2[\x80-\xbf]", " "), "\xf0\x9f[\x80-\xbf]+", " ")
  text = string.gsub(string.gsub(text, "[\xc3-\xd1][\x80-\xbf]", small), "[-'._][-'._]+", " ")
  local list, known = {}, {}
  for word in string.gmatch(text, "[%w\x80-\xff][%w\x80-\xff'._-]*") do
    word = string.gsub(word, "[-'._]$", "")
    local s = stem(word)
    if not STOP[word] and not known[s] then
      known[s] = true
      list[#list + 1] = s
    end
  end
  return list
end

-- The sentences and lines of a text, without white space around them.
local function sentences(text)
  local list = {}
  for s in string.gmatch(string.gsub(text, "([.!?])%s", "%1\n"), "%S[^\n]*") do
    list[#list + 1] = string.match(s, "^.*%S")
  end
  return list
end

-- ---- What a context is about ----

-- When it happened or became true.
local function time(e) return e.valid_from or e.created_at end

-- The engrams of a context in their order, without digests and what is in
-- collections.
local function engrams(context)
  local list, read, cursor = {}, 0, nil
  repeat
    local page
    page, cursor = engram.search { context = context, limit = 200, cursor = cursor }
    for _, e in ipairs(page) do
      if e.kind ~= "digest" and #(e.collections or {}) == 0 and e.context == context then list[#list + 1] = e end
    end
    read = read + #page
  until (cursor or "") == "" or read >= MOST
  table.sort(list, function(a, b) return time(a) < time(b) or time(a) == time(b) and a.id < b.id end)
  return list
end

-- A text that changes with what a digest is made of (FNV-1a).
local function fingerprint(sources, count)
  local h = 0xcbf29ce484222325
  for _, e in ipairs(sources) do
    local text = e.id .. e.content .. (e.source or "") .. time(e) .. "\0"
    for i = 1, #text do h = (h ~ string.byte(text, i)) * 0x100000001b3 end
  end
  return string.format("%016x.%d.%d", h, #sources, count)
end

-- The sentences that can stand in a digest, {place, text, words} with the place
-- of their engram, and the share of each word.
local function candidates(sources)
  local all, said, weight = {}, {}, {}
  for place, e in ipairs(sources) do
    for _, s in ipairs(sentences(e.content)) do
      local text, words = string.gsub(s, "^[-*#> ]+", ""), stems(s)
      -- A question or half a sentence says little, and what was said in the same
      -- words before is a phrase.
      if #words >= 3 and #words <= 40 and not string.find(s, "?$") and #s <= 400 and not said[text] then
        said[text] = true
        for _, w in ipairs(words) do weight[w] = (weight[w] or 0) + 1 end
        all[#all + 1] = { place = place, text = text, words = words }
      end
    end
  end
  -- Words that are everywhere tell nothing of what is said here.
  local total = 0
  for w, n in pairs(weight) do
    if n > math.max(6, #all / 20) then weight[w] = 0 else total = total + n end
  end
  for w, n in pairs(weight) do weight[w] = n / math.max(1, total) end
  return all, weight
end

-- The sentences that tell most, in the order in which they were said.
local function pick(sources, count)
  local all, weight = candidates(sources)
  local picked = {}
  for _ = 1, math.min(count, #all) do
    local best, most = nil, -1
    for _, s in ipairs(all) do
      local worth = 0
      for _, w in ipairs(s.words) do worth = worth + weight[w] end
      worth = worth / (#s.words + 6)
      if not s.picked and worth > most then best, most = s, worth end
    end
    best.picked = true
    for _, w in ipairs(best.words) do weight[w] = weight[w] ^ 2 end
  end
  for _, s in ipairs(all) do
    if s.picked then picked[#picked + 1] = s end
  end
  return picked
end

-- ---- The digest ----

-- Makes the links of a digest those to the engrams that it quotes.
local function relink(id, before, picked, sources)
  local quoted, gone, new = {}, {}, {}
  for _, s in ipairs(picked) do quoted[sources[s.place].id] = true end
  for _, l in ipairs(before) do
    if l.from == id and l.relation == "summarizes" then
      if not quoted[l.to] then gone[#gone + 1] = { from = id, to = l.to, relation = "summarizes" } end
      quoted[l.to] = nil
    end
  end
  for _, s in ipairs(picked) do
    local to = sources[s.place].id
    if quoted[to] then new[#new + 1] = { from = id, to = to, relation = "summarizes" } end
    quoted[to] = nil
  end
  if #gone > 0 then engram.call("engram_unlink", { links = gone }) end
  if #new > 0 then engram.link(new) end
end

-- Takes what is known of a context out of the list.
local function take(known, context)
  for i, k in ipairs(known) do
    if k.context == context then return table.remove(known, i) end
  end
end

-- Brings the digest of a context up to date: its id, and what was done.
local function digest(context, count, known)
  local sources = engrams(context)
  if #sources == 0 then return "", "empty" end

  local mark, before = fingerprint(sources, count), take(known, context)
  local old = before and engram.get({ before.id }, { include_links = true })[1]
  if old and old.context ~= context then old = nil end
  if old and before.mark == mark then
    known[#known + 1] = before
    return old.id, "same"
  end

  local lines, picked = {}, pick(sources, count)
  for i, s in ipairs(picked) do
    local speaker = sources[s.place].source or ""
    lines[i] = "- " .. (speaker ~= "" and speaker .. ": " or "") .. s.text
  end
  local last = time(sources[#sources])
  local fields = {
    content = table.concat(lines, "\n"), kind = "digest", valid_from = last,
    metadata = { engrams = #sources, since = time(sources[1]), ["until"] = last },
  }
  local id, state
  if old then
    id, state = engram.update(old.id, fields).id, "changed"
  else
    fields.context, fields.allow_duplicate = context, true
    id, state = engram.create(fields).id, "new"
  end
  relink(id, old and old.links or {}, picked, sources)
  known[#known + 1] = { context = context, id = id, mark = mark }
  return id, state
end

-- The contexts of the newest engrams.
local function recent()
  local list, known = {}, {}
  for _, e in ipairs(engram.search { limit = 200, fields = { "id", "context", "kind" } }) do
    if (e.context or "") ~= "" and not known[e.context] then
      known[e.context] = true
      list[#list + 1] = e.context
    end
  end
  return list
end

function tool_write(params)
  local count = math.min(50, math.max(1, params.sentences or config.sentences or 5)) // 1
  local known = globals.contexts or {}
  local told = json.array()
  for _, context in ipairs(params.context and { params.context } or recent()) do
    local id, state = digest(context, count, known)
    told[#told + 1] = { context = context, id = id, state = state }
  end
  globals.contexts = table.move(known, math.max(1, #known - KEPT + 1), #known, 1, {})
  return { digests = told }
end
