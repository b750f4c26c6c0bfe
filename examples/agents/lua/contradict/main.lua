-- Finds what a new engram disagrees with, and says which of the two holds.
--
-- check, a hook after engram_create: a sentence such as "Ada's manager is Ben",
-- "Ada moved to Ghent" or "Ada does not eat meat" is read as a claim: a
-- subject, an attribute of which there is one, and a value. Older claims about
-- the same subject and attribute with another value are linked `contradicts`;
-- if time, trust and confidence allow, `supersedes` too, and the older one ends
-- with valid_to. What cannot be read this way is left alone: a claim that is
-- missed costs less than one that is made up.
--
-- config: "supersede" false only links; "min_confidence" of what may supersede;
-- "most", how many engrams of a batch are looked at.

local find, gsub, match, sub = string.find, string.gsub, string.match, string.sub

local function set(words)
  local s = {}
  for w in string.gmatch(words, "%S+") do s[w] = true end
  return s
end

-- ---- What words mean ----

-- Countries and more, which hold other places.
local WIDE = set [[
  europe asia africa america australia austria belgium brazil canada china denmark england finland france germany
  greece india ireland italy japan kenya mexico netherland nigeria norwa poland portugal scotland spain sweden
  switzerland turke uk usa ukraine wale ]]

-- Attributes, by their last word, of which there is one at a time, whatever the
-- value is called.
local ONE_OF = set [[
  job role title status state colour color size name nickname password address mode plan stage phase diet gender
  profession occupation language format frequency policy topic theme priority favourite favorite ]]

-- Attributes of which there are several.
local MANY_OF = set [[
  friend colleague brother sister child son daughter cousin aunt uncle neighbour neighbor hobb pet client customer
  partner member part example goal reason problem issue advantage feature idea grandchild student ]]

-- Verbs with the attribute that they tell, by their first word, which stands
-- for all of its forms in the present.
local VERBS = {}
for attribute, phrases in pairs {
  place = [[
    live in, move to, moved to, relocated to, reside in, settled in, is based in, is located in, is hosted on,
    is hosted in, is deployed to, run on, run in, was moved to, was migrated to, migrated to]],
  employer = "work for, work at, is employed by",
  job = "work as",
  spouse = "is married to, married",
  manager = "report to, is managed by",
  language = "is written in, was rewritten in",
  owner = "is owned by, belong to, is maintained by, was handed over to",
  lead = "is led by",
  assignee = "is assigned to, was reassigned to, was assigned to",
  date = [[
    is due on, is due, is scheduled for, is planned for, was rescheduled to, was rescheduled for, was postponed to,
    was postponed until, take place on]],
  start = "start on, start at, begin at, begin on",
  ["end"] = "end on, end at",
  opening = "open at",
  closing = "close at",
  expiry = "expire on",
  price = "cost, sell for",
  port = "listen on port, listen on, use port",
  car = "drive a, drive an",
  version = "run version, is on version, is at version",
  name = "is called, is named, was renamed to",
  contact = "is reachable at",
  waking = "wake up at, get up at",
  bedtime = "go to bed at",
} do
  for phrase in string.gmatch(phrases, "[^,]+") do
    local verb = { attribute = attribute }
    for word in string.gmatch(phrase, "%S+") do verb[#verb + 1] = word end
    VERBS[verb[1]] = VERBS[verb[1]] or {}
    table.insert(VERBS[verb[1]], verb)
  end
end
for _, list in pairs(VERBS) do -- "listen on port" before "listen on"
  table.sort(list, function(a, b) return #a > #b end)
end

-- What was done to an attribute that has another value from then on.
local CHANGED = set [[
  changed set raised lowered reduced increased tightened relaxed bumped moved switched updated cut extended upgraded
  shortened pushed brought corrected rose fell dropped grew went rescheduled postponed renamed delayed ]]

-- Sentences with one of these do not say what is so now.
local UNSURE = set [[
  if would might could should will shall may plans wants hopes wishes maybe perhaps probably possibly unless used
  formerly previously originally or either rumour rumor allegedly supposedly almost considered considers thinks said
  says claims asked wonders once until during between sometimes often usually visited imagine suppose going ]]

-- Words that say when, and nothing else.
local NOW = set [[
  now currently just recently finally meanwhile again also actually nowadays already today presently officially ]]

-- What a sentence may open with, before a comma: "As of Monday, the limit is 5".
local OPENS = set "as since from after in on by starting effective update correction fyi note news"

-- What ends a value.
local ENDS = set [[
  and but because since after when while with so instead from than which who where though although for as by ]]

-- Words that are no subject, or tell of another one.
local NOBODY = set [[
  he she it they this that there who which what someone everyone everybody nobody nothing people one each every some
  many most all his her its their your you these those old former previous other another first second last next both
  few several no any ]]

local ARTICLES = set "the a an our new current latest present"

-- What a value may begin with.
local LEADS = set "the a an on at in to until around about approximately port version only up exactly"

-- What ends a value that has begun.
local PLACES = set "in on at to"

local CLOCK = set "am pm o'clock"
local WEEKDAYS = set "monday tuesday wednesday thursday friday saturday sunday"
local MONTHS = set "january february march april may june july august september october november december"

local NUMBERS = {
  zero = "0", one = "1", two = "2", three = "3", four = "4", five = "5", six = "6", seven = "7", eight = "8",
  nine = "9", ten = "10", eleven = "11", twelve = "12",
}

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

local function lower(text) return (gsub(string.lower(text), "[\xc3-\xd1][\x80-\xbf]", small)) end

-- A word without the endings that change with its place in a sentence.
local function stem(word)
  word = gsub(word, "'s$", "")
  if #word <= 3 or find(word, "[\x80-\xff]") then return word end
  if find(word, "sses$") then return sub(word, 1, -3) end
  if find(word, "ies$") then return sub(word, 1, -4) end
  if find(word, "y$") or find(word, "[^sui]s$") then return sub(word, 1, -2) end
  return word
end

-- A word as it was written, in lower case, and whether a comma or the like
-- follows.
local function token(raw, stop)
  local low = lower(raw)
  return { raw = raw, low = low, capital = match(raw, utf8.charpattern) ~= match(low, utf8.charpattern), stop = stop }
end

local function any(list, test)
  for _, v in ipairs(list) do
    if test(v) then return true end
  end
  return false
end

local function within(list, words)
  return any(list, function(w) return words[w.low] end)
end

-- The words of a sentence.
local function tokens(sentence)
  sentence = gsub(gsub(sentence, "\xe2\x80[\x98\x99]", "'"), "\xe2\x80[\x9c\x9d]", '"')
  local list = {}
  for part in string.gmatch(sentence, "%S+") do
    local open = gsub(part, "^[\"'([*_]+", "")
    local stop = find(open, "[,;)]$") ~= nil or find(open, ":$") ~= nil and #list == 0
    local raw = gsub(gsub(open, "[\"')%]*_,;:.!?]+$", ""), "%%", " percent")
    for word in string.gmatch(raw, "%S+") do list[#list + 1] = token(word, stop) end
    -- "Budget of Juniper: 5" says the same as with "is".
    if find(open, ":$") and #list > 1 and #list < 7 and not within(list, { is = true }) then
      list[#list + 1] = token("is", false)
    end
  end
  return list
end

local function slice(t, from, to) return table.move(t, from, to or #t, 1, {}) end

-- The words that are not in a set.
local function without(t, words)
  local kept = {}
  for _, w in ipairs(t) do
    if not words[w.low] then kept[#kept + 1] = w end
  end
  return kept
end

local function low(t, i) return t[i] and t[i].low or "" end

-- ---- Claims ----

-- Takes the negation out of a sentence, and the verb that only carries it.
local function negated(t)
  local kept, no, i = {}, false, 1
  while i <= #t do
    local word, next, gone = low(t, i), low(t, i + 1), 0
    if (word == "does" or word == "do") and next == "not" or word == "no" and next == "longer" then
      gone = 2
    elseif word == "doesn't" or word == "don't" or word == "not" or word == "never" then
      gone = 1
    elseif word == "isn't" or word == "aren't" then
      t[i], no = token("is", false), true
    end
    if gone == 0 then kept[#kept + 1] = t[i] end
    no, i = no or gone > 0, i + math.max(1, gone)
  end
  return kept, no
end

local BE = { is = "is", are = "is", am = "is", equals = "is", was = "was", were = "was" }
local PAST = set "was were had did"
local HAVE = set "has have"
local UNTIL = set "to until at"

-- The place after a verb's words at a place in a sentence.
local function fits(t, at, verb)
  local i = at
  if verb[1] == "was" and HAVE[low(t, i)] and low(t, i + 1) == "been" then i = i + 1 end -- "has been moved to"
  for n = 2, #verb do
    if low(t, i + n - 1) ~= verb[n] then return nil end
  end
  return i + #verb
end

-- A verb phrase at a place: where it ends, and its attribute; "" stands for the
-- plain "is", where the subject names the attribute.
local function verb_at(t, at)
  local word, been = low(t, at), HAVE[low(t, at)] and low(t, at + 1) == "been"
  local list = VERBS[BE[word] or been and "was" or word] or VERBS[gsub(word, "s$", "")] or VERBS[gsub(word, "es$", "")]
  for _, verb in ipairs(list or {}) do
    local after = fits(t, at, verb)
    if after then return after, verb.attribute end
  end
  local i = BE[word] and at + 1 or been and at + 2 or at
  if CHANGED[low(t, i)] then
    -- "was raised (back) (from 3) to 5"
    for j = i + 1, math.min(#t, i + 5) do
      if UNTIL[low(t, j)] then return j + 1, "" end
    end
    return nil
  end
  if BE[word] == "is" then return at + 1, "" end
end

-- The words of a list without their endings.
local function stems(list)
  local s = {}
  for i, w in ipairs(list) do s[i] = stem(w.low) end
  return s
end

-- The first place of a word in a list that passes a test.
local function place(list, test)
  for i, w in ipairs(list) do
    if test(w) then return i end
  end
end

-- Whether the words of an owner are its name, in a subject of so many words.
local function is_name(owner, words)
  if any(owner, function(w) return find(w.low, "[%d_-]") end) then return true end
  local all = not any(owner, function(w) return not w.capital end)
  return owner[#owner].capital and (#owner < words or words == 1 or all)
end

-- Splits "the budget of Juniper", "Juniper's budget" and "my budget" into the
-- subject, the words of the attribute, and whether the subject has a name,
-- which means the same in every context.
local function split(t, source)
  if #t == 0 or #t > 7 or any(t, function(w) return w.stop or NOBODY[w.low] end) then return nil end
  local kept = without(t, ARTICLES)
  local whose = place(kept, function(w) return find(w.low, "'s$") end)
  local of = place(kept, function(w) return w.low == "of" end)
  if whose and of then return nil end
  local owner, own = kept, {}
  if whose then owner, own = slice(kept, 1, whose), stems(slice(kept, whose + 1)) end
  if of then owner, own = slice(kept, of + 1), stems(slice(kept, 1, of - 1)) end

  local first = low(owner, 1)
  if first == "" then return nil end
  if first == "my" or first == "i" or first == "we" then
    if whose or of or first ~= "my" and #owner > 1 then return nil end
    return (first == "we" and "we@" or "i@") .. source, stems(slice(owner, 2)), source ~= ""
  end
  return table.concat(stems(owner), " "), own, is_name(owner, #t)
end

-- The first words of a value, up to what ends it.
local function valued(t)
  local words, from = {}, place(t, function(w) return not LEADS[w.low] end)
  for i = from or #t + 1, #t do
    local word = t[i].low
    if ENDS[word] or #words > 0 and PLACES[word] then break end
    words[#words + 1] = t[i]
    if t[i].stop then break end
  end
  if #words == 0 or #words > 5 then return nil end
  -- "room 204" is a number with a unit, as "204 rooms" would be.
  if #words == 2 and find(words[2].low, "^%d+$") and not words[1].capital then words = { words[2], words[1] } end
  return words
end

-- What sort of value words are.
local function sort_of(words)
  local first = words[1].low
  local digit = find(first, "^[$+\xe2\x82\xac\xc2\xa3]*%d")
  if first == "noon" or first == "midnight" then return "hour" end
  if digit and (find(first, ":") or find(first, "[ap]m$") or within(words, CLOCK)) then return "hour" end
  local _, dashes = gsub(first, "-", "")
  if digit and dashes == 2 then return "day" end
  if within(words, MONTHS) and any(words, function(w) return w.raw ~= "may" end) then return "day" end
  if within(words, WEEKDAYS) then return "weekday" end
  if digit or NUMBERS[first] then return "number" end
  return words[1].capital and "name" or "other"
end

-- The claim of a subject, a value and the attribute between them.
local function claim(subject, value, attribute, source, no)
  local owner, own, named = split(subject, source)
  local words = owner and valued(value)
  if not words then return nil end
  local sort = sort_of(words)
  if attribute == "date" or attribute == "place" and sort ~= "name" and sort ~= "other" then attribute = "" end
  if attribute == "employer" and sort == "other" then return nil end -- "works at night"
  local last = own[#own] or ""
  local several = MANY_OF[last] or last ~= "status" and last ~= "address" and find(last, "s$") and not find(last, "ss$")
  if attribute == "" and several and sort ~= "number" then return nil end

  if attribute ~= "" then own[#own + 1] = attribute elseif #own == 0 then own[1] = "it is" end
  local list = {}
  for i, w in ipairs(words) do list[i] = NUMBERS[w.low] or stem(w.low) end
  return { subject = owner, named = named, attribute = table.concat(own, " "), value = list, sort = sort, no = no }
end

local PLAIN = { has = "have", have = "have", is = "be", are = "be", am = "be", goes = "go" }

-- Claims that something does something or not. Where the subject ends is not
-- known, so there is one for each of the first words at which it may.
local function doing(t, source, no)
  local list = {}
  for at = 2, math.min(#t, 5) do
    local subject, own, named = split(slice(t, 1, at - 1), source)
    local rest = {}
    for i = at, #t do
      if ENDS[t[i].low] then break end
      rest[#rest + 1] = PLAIN[t[i].low] or stem(t[i].low)
    end
    if subject and #own == 0 and #rest >= 2 and #rest <= 6 then
      list[#list + 1] = { subject = subject, named = named, attribute = "does", value = rest, sort = "other", no = no }
    end
  end
  return list
end

local function claims_of(sentence, source)
  local t, no = tokens(sentence), false
  if #t < 3 or #t > 24 or any(t, function(w) return UNSURE[w.low] and w.raw ~= "May" end) then return {} end
  local comma = OPENS[t[1].low] and place(slice(t, 1, math.min(6, #t)), function(w) return w.stop end)
  t, no = negated(without(slice(t, (comma or 0) + 1), NOW))
  for at = 2, #t do
    local after, attribute = verb_at(t, at)
    if after then
      local one = claim(slice(t, 1, at - 1), slice(t, after), attribute, source, no)
      if one then return { one } end
      break
    end
  end
  -- A verb of the past says nothing about now.
  if not no and within(t, PAST) then return {} end
  return doing(t, source, no)
end

-- The claims of an engram.
local function read(e)
  local list, n = {}, 0
  if e.kind == "digest" or e.kind == "question" or #e.content > 4000 then return list end
  for s in string.gmatch(gsub(e.content, "([.!?])%s", "%1\n"), "%S[^\n]*") do
    n = n + 1
    if n > 8 then break end
    if not find(s, "%?%s*$") then
      for _, c in ipairs(claims_of(s, e.source or "")) do list[#list + 1] = c end
    end
  end
  return list
end

-- Whether all words of a value are in another one.
local function covers(value, other)
  local has = {}
  for _, w in ipairs(other) do has[w] = true end
  return not any(value, function(w) return not has[w] end)
end

local function wide(value)
  return any(value, function(w) return WIDE[w] end)
end

-- Whether two claims cannot both be true.
local function against(a, b)
  if a.subject ~= b.subject or a.attribute ~= b.attribute then return false end
  local x, y = table.concat(a.value, " "), table.concat(b.value, " ")
  if a.no or b.no then return a.no ~= b.no and x == y end
  if a.attribute == "does" or a.sort ~= b.sort or covers(a.value, b.value) or covers(b.value, a.value) then return false end
  if a.sort == "number" then
    local unit, other = table.concat(a.value, " ", 2), table.concat(b.value, " ", 2)
    return a.value[1] ~= b.value[1] and (unit == "" or other == "" or unit == other)
  end
  if a.sort == "other" then return ONE_OF[match(a.attribute, "%S+$")] or false end
  -- A country holds a town.
  if a.sort == "name" and find(a.attribute, "place$") then return wide(a.value) == wide(b.value) end
  -- "The car is Swedish" and "The car is Ben's" may both be true.
  return a.sort ~= "name" or not find(a.attribute, " is$")
end

-- ---- Engrams ----

-- When it happened or became true.
local function time(e) return e.valid_from or e.created_at end

-- A time as a text that sorts: RFC 3339 in UTC, with nine decimals.
local function clock(text)
  local whole, part = match(text, "^([^.Z]*)%.?(%d*)")
  return whole .. "." .. part .. string.rep("0", 9 - #part)
end

-- Whether two engrams, with their claims, that may hold at one time contradict
-- each other.
local function disagree(a, ours, b, theirs)
  local first, last = b, a
  if clock(time(a)) < clock(time(b)) then first, last = a, b end
  if first.valid_to and clock(first.valid_to) <= clock(time(last)) then return false end
  return any(ours, function(x)
    return any(theirs, function(y) return (x.named or a.context == b.context) and against(x, y) end)
  end)
end

-- The engrams whose claims a new one contradicts, of those that a search finds
-- and of those before it in its batch.
local function candidates(new, claims, seen, batch)
  local found, known = {}, {}
  for _, old in ipairs(seen) do
    if disagree(new, claims, old.engram, old.claims) then found[#found + 1] = old.engram end
  end
  local queries = { new.content }
  for _, c in ipairs(claims) do
    if c.attribute ~= "does" then queries[#queries + 1] = match(c.subject, "^[^@]*") .. " " .. c.attribute end
  end
  for _, query in ipairs(queries) do
    -- What is about the same subject has its words.
    for _, old in ipairs(engram.search { query = query, limit = 40, mode = "text" }) do
      if not batch[old.id] and not known[old.id] then
        known[old.id] = true
        if disagree(new, claims, old, read(old)) then found[#found + 1] = old end
      end
    end
  end
  return found
end

-- Links two engrams that contradict each other, ends the older one, and says
-- what was done.
local function settle(new, old)
  local same_time = new.valid_from and clock(time(new)) == clock(time(old))
  local last, first = new, old
  if clock(time(new)) < clock(time(old)) then last, first = old, new end
  local trusted = last.trust == "user" or first.trust ~= "user"
  local replaces = config.supersede ~= false and not same_time and trusted
    and (last.confidence or 0) >= (config.min_confidence or 0.5)
  local links = { { from = last.id, to = first.id, relation = "contradicts" } }
  if replaces then links[2] = { from = last.id, to = first.id, relation = "supersedes" } end
  local done, problem = pcall(function()
    engram.link(links)
    if replaces and not first.valid_to then engram.update(first.id, { valid_to = time(last) }) end
  end)
  if done then return { id = last.id, contradicts = first.id, supersedes = replaces } end
  log.warn(last.id, "contradicts", first.id .. ", which cannot be noted:", problem)
end

function tool_check(params)
  local ids, batch = {}, {}
  for _, made in ipairs(params.result.engrams or {}) do
    if not made.duplicate and #ids < (config.most or 50) then
      ids[#ids + 1], batch[made.id] = made.id, true
    end
  end
  if #ids == 0 then return {} end

  local seen, told = {}, {}
  for _, new in ipairs(engram.get(ids)) do
    local claims = read(new)
    if #claims > 0 then
      for _, old in ipairs(candidates(new, claims, seen, batch)) do told[#told + 1] = settle(new, old) end
    end
    seen[#seen + 1] = { engram = new, claims = claims }
  end
  return #told > 0 and { result = { annotation = { contradictions = told } } } or {}
end
