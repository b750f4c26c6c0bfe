-- Takes secrets and personal data out of what is about to be written, or
-- refuses it.
--
-- mask, a hook before tools that write: every text in the arguments, in
-- metadata too, is searched, and what is found becomes a marker such as
-- "[password removed]". Where a marker would mix things up, in the names of
-- contexts and the like, the call is refused.
--
-- config: "mode" "redact" (default) or "refuse"; "kinds", which of KINDS to
-- look for, all but ip if absent.

local byte, find, lower, match, sub = string.byte, string.find, string.lower, string.match, string.sub

local function set(words)
  local s = {}
  for w in string.gmatch(words, "%S+") do s[w] = true end
  return s
end

-- What can be found, and how a person calls it.
local KINDS = {
  private_key = "private key", key = "API key", token = "token", password = "password", card = "card number",
  iban = "bank account", ssn = "social security number", email = "e-mail address", phone = "phone number",
  ip = "IP address",
}

-- Known members that hold ids and times, which only look like something else.
local PLAIN = set "id ids to from valid_from valid_to"

-- Known members that name what others name the same way.
local NAMES = set "context collections kind relation relationType entityType entityName"

-- No secret is longer. Detectors look no further, so that the work grows with
-- the text and not its square.
local LONGEST = 2048

-- Bytes of words; those above ASCII are taken for letters.
local WORD = "[%w_\x80-\xff]"

local A_WORD = "^" .. WORD .. "+()"
local NEXT_WORD = "^[.:/-]" .. WORD

local function word_at(t, at) return find(t, A_WORD, at) ~= nil end

-- What of a text, from a place on, can belong to a secret.
local function ahead(t, at) return sub(t, at, at + LONGEST - 1) end

-- A detector is given a text, a place in it at which a word or mark begins, and
-- the next 80 bytes. It returns where what it knows begins, the place after it,
-- and its kind; nil if that is not there.

-- ---- Keys and tokens ----

local function private_key(t, at, near)
  local label = match(near, "^%-%-%-%-%-BEGIN (.-)%-%-%-%-%-")
  if not label or #label > 44 or not find(label, "PRIVATE KEY", 1, true) then return nil end
  local _, last = find(t, "-----END ", at + 11 + #label + 5, true)
  if last then _, last = find(t, "-----", last + 1, true) end
  return at, (last or #t) + 1, "private_key" -- without an end it was cut off
end

local function jwt(t, at, near)
  if sub(near, 1, 3) ~= "eyJ" then return nil end
  local i = at
  for n = 1, 3 do
    local part = match(ahead(t, i), "^[%w_-]*")
    i = i + #part
    if #part < 10 or n < 3 and sub(t, i, i) ~= "." then return nil end
    if n < 3 then i = i + 1 end
  end
  return at, i, "token"
end

-- How the keys of providers begin, and the least and the most letters that
-- follow, by the letters that there may be.
local PROVIDERS = {
  ["^%w*"] = [[
    ghp_ 36 255 gho_ 36 255 ghu_ 36 255 ghs_ 36 255 ghr_ 36 255 sk- 32 255 sk_live_ 16 255 sk_test_ 16 255
    rk_live_ 16 255 whsec_ 24 255 npm_ 36 36 hf_ 30 64 lin_api_ 32 64 EAAC 60 255 r8_ 37 37 ]],
  ["^[%u%d]*"] = "AKIA 16 16 ASIA 16 16 ABIA 16 16 NRAK- 27 27 AGE-SECRET-KEY-1 50 64",
  ["^[%da-f]*"] = "dop_v1_ 64 64 rubygems_ 48 48 shpat_ 32 32 shpss_ 32 32 key- 32 32 dapi 32 32 SK 32 32",
  ["^[%w_-]*"] = [[
    github_pat_ 40 255 glpat- 20 255 glsa_ 32 255 sk-ant- 24 255 sk-proj- 24 255 sk-or- 24 255 xoxb- 20 255
    xoxp- 20 255 xoxa- 20 255 xoxs- 20 255 xapp- 20 255 AIza 35 35 ya29. 20 512 GOCSPX- 24 255 pypi-AgE 40 512
    hvs. 24 255 figd_ 32 64 tskey- 20 128 sq0atp- 22 22 ]],
  ["^[%w_.-]*"] = "SG. 60 80",
}

-- The same by the first two letters.
local PREFIXES = {}
for letters, list in pairs(PROVIDERS) do
  for prefix, least, most in string.gmatch(list, "(%S+) (%d+) (%d+)") do
    local two = sub(prefix, 1, 2)
    PREFIXES[two] = PREFIXES[two] or {}
    table.insert(PREFIXES[two], { prefix = prefix, least = tonumber(least), most = tonumber(most), letters = letters })
  end
end

local function provider_key(t, at, near)
  for _, p in ipairs(PREFIXES[sub(near, 1, 2)] or {}) do
    if sub(near, 1, #p.prefix) == p.prefix then
      local from = at + #p.prefix
      local body = string.gsub(match(ahead(t, from), p.letters), "%.+$", "")
      local after = from + #body
      if #body >= p.least and #body <= p.most and find(body, "[%d%u]") and not word_at(t, after) then
        return at, after, "key"
      end
    end
  end
end

-- The tokens of chat bots: digits, a colon, 35 letters.
local function bot_token(_, at, near)
  local id, token = match(near, "^(%d+):([%w_-]+)")
  if id and #id >= 8 and #id <= 10 and #token == 35 then return at, at + #id + 36, "token" end
end

-- What stands where a secret would: a variable, a type, a mask, a marker.
local EMPTY = set [[
  none null nil true false string str text required optional undefined empty missing unknown changed expired invalid
  redacted secret password token incorrect wrong rotated stored hidden ]]

local function placeholder(value)
  local text = lower(value)
  return EMPTY[text] or find(value, "^[<{%[(%%]") or find(value, "^%$[{%u]") or value == "$" or find(value, "(", 1, true)
    or find(text, "^your") or find(text, "^process%.env") or find(text, "^os%.environ") or find(value, "^[*x._-]*$")
    or find(value, "^[%a_]*%.[%a._]*$") -- config.db.password
    or find(value, "^%d%d%d%d%-%d%d%-%d%d")
end

-- The password in scheme://user:password@host.
local function url_password(t, at, near)
  local user = match(near, "^[%w+-]+://()")
  if not user then return nil end
  user = at + user - 1
  local name = match(ahead(t, user), "^[^%s:/@?#]*:")
  if not name then return nil end
  local from = user + #name
  local password = match(ahead(t, from), "^[^%s@\"'<>]*")
  local after = from + #password
  if after > from and sub(t, after, after) == "@" and not placeholder(password) then return from, after, "password" end
end

local function bearer(t, at, near)
  local scheme = match(near, "^[Bb]earer ") or match(near, "^[Bb]asic ")
  if not scheme then return nil end
  local from = at + #scheme
  local body = string.gsub(match(ahead(t, from), "^[%w_./+=~-]*"), "%.+$", "")
  local random = find(body, "%d") or find(body, "%u") and find(body, "%l")
  if #body >= 16 and random then return from, from + #body, "token" end
end

-- ---- Passwords by what they are called ----

-- What a label ends with, without - _ and in lower case, and what it names:
-- a kind of at least so many letters; with words, plain letters can be one;
-- with digits, it has nothing else, and the label is the whole name.
local LABELS = {}
for name, kind, least, what in string.gmatch([[
  password password 4 words, passwd password 4 words, pwd password 4 words, passphrase password 6 words,
  passcode password 4 random, passwort password 4 words, pin password 4 digits, cvv password 3 digits,
  cvc password 3 digits, secret key 8 random, secretkey key 8 random, apikey key 8 random, accesskey key 8 random,
  accountkey key 8 random, authkey key 8 random, encryptionkey key 8 random, privatekey key 8 random,
  signingkey key 8 random, licensekey key 8 random, token token 8 random, authorization token 16 random,
]], "(%S+) (%S+) (%d+) (%a+),") do
  LABELS[#LABELS + 1] = { name = name, kind = kind, least = tonumber(least), [what] = true }
end

local function labelled(name)
  name = lower((string.gsub(name, "[-_ .]", "")))
  for _, l in ipairs(LABELS) do
    if name == l.name or not l.digits and sub(name, -#l.name) == l.name then return l end
  end
end

-- Whether a value can be what the label says, after that sign.
local function secret(value, label, sign, quoted)
  if label.digits then return find(value, "^%d+$") and #value >= label.least and #value <= 8 end
  if #value < label.least or placeholder(value) then return false end
  local digit, upper = find(value, "%d"), find(value, "%u", 2) and find(value, "%l")
  if label.words then
    return digit or upper or sign == "=" or find(value, "[!@#$%%^&*+/=~?]") or quoted and find(value, "^[%w_\x80-\xff -]*$")
  end
  -- A key or token is a random string: no number, no word, no phrase.
  return (digit and find(value, "%D") or upper) and not find(value, " ", 1, true)
end

-- A value without quotes: up to the next field of a form, and without what ends
-- a sentence.
local function unquoted(value)
  local field = find(value, "&" .. WORD .. "*=")
  return (string.gsub(sub(value, 1, (field or 0) - 1), "[.:]+$", ""))
end

local QUOTED = { ['"'] = '^[^"\n\\]*', ["'"] = "^[^'\n\\]*", ["`"] = "^[^`\n\\]*" }

-- label = value, label: value, label is value, "label": "value".
local function assigned(t, at, near)
  local name = match(sub(near, 1, 64), "^[%w_.-]+")
  local i = at + #name
  local more = match(t, "^ key%a*", i) or match(t, "^ code%a*", i) -- "API key", "pass code"
  if more then name, i = name .. more, i + #more end
  local gap = match(t, "^[\"'`* \\]*()", i)
  local sign, from = match(t, "^([:=])[:=>]*()", gap)
  if sign and find(t, "^://", gap) then return nil end
  if not sign and gap > i then from = match(t, "^is:?() ", gap) or match(t, "^was() ", gap) or match(t, "^ist() ", gap) end
  local label = from and #name >= 3 and labelled(name)
  if not label then return nil end

  from = match(t, "^ *()", from)
  local quote = match(t, "^\\*()", from)
  local quoted = QUOTED[sub(t, quote, quote)]
  local value
  if quoted then
    from = quote + 1
    value = match(ahead(t, from), quoted)
  else
    value = unquoted(match(ahead(t, from), "^[^%s\"'`,;<>)}%]|]*"))
  end
  if secret(value, label, sign, quoted) then return from, from + #value, label.kind end
end

-- ---- Numbers with a checksum ----

-- Whether nothing of a number or a word stands right before, or after.
local function begins_alone(t, at)
  local before = sub(t, math.max(1, at - 2), at - 1)
  return not find(before, WORD .. "$") and not find(before, WORD .. "[.+/#:=-]$")
end

local function ends_alone(t, after) return not word_at(t, after) and not find(t, NEXT_WORD, after) end

local function alone(t, at, after) return begins_alone(t, at) and ends_alone(t, after) end

-- Digits in groups with a blank or - between them, from a place on: up to each
-- group all of them, the lengths of the groups, and the place after them.
local function digits(t, at)
  local found, all, groups, after = {}, "", "", at
  while #all < 20 do
    local group, stop = match(t, "^[ -]?(%d+)()", after)
    if not group then break end
    all, groups, after = all .. group, groups .. (groups == "" and "" or " ") .. #group, stop
    found[#found + 1] = { all = all, groups = groups, after = after }
  end
  return found
end

-- Whether cards have numbers that begin so and are so long.
local function issued(n)
  local function begins(digits, from, to)
    local start = tonumber(sub(n, 1, digits))
    return start >= from and start <= (to or from)
  end
  if #n == 13 then return begins(1, 4) end
  if #n == 14 then return begins(3, 300, 305) or begins(2, 36) or begins(2, 38) end
  if #n == 15 then return begins(2, 34) or begins(2, 37) end
  if #n == 19 then return begins(1, 4) or begins(2, 62) end
  return #n == 16 and (begins(1, 4) or begins(2, 51, 55) or begins(2, 62) or begins(2, 65) or begins(4, 2221, 2720)
    or begins(4, 3528, 3589) or begins(4, 6011) or begins(4, 6440, 6499))
end

local function luhn(n)
  local sum = 0
  for i = 1, #n do
    local d = (byte(n, -i) - 48) * (i % 2 == 0 and 2 or 1)
    sum = sum + (d > 9 and d - 9 or d)
  end
  return sum % 10 == 0
end

local function is_card(n, groups)
  return #n >= 13 and issued(n) and luhn(n)
    and (not find(groups, " ") or find(groups, "^4 4 4 [4 ]*[1-4]$") or groups == "4 6 5" or groups == "4 6 4")
end

-- What comes after a blank may be another number, such as the month in which a
-- card expires.
local function card(t, at)
  local first = #match(t, "^%d+", at)
  if first ~= 4 and first < 13 or not begins_alone(t, at) then return nil end
  local found = digits(t, at)
  for i = #found, 1, -1 do
    local all, after = found[i].all, found[i].after
    local whole = i < #found and sub(t, after, after) == " " or i == #found and ends_alone(t, after)
    if whole and is_card(all, found[i].groups) then return at, after, "card" end
  end
end

-- Countries and the lengths of their account numbers.
local IBANS = {}
for country, length in string.gmatch([[
  AD24 AE23 AT20 BE16 BG22 BR29 CH21 CY28 CZ24 DE22 DK18 EE20 ES24 FI18 FR27 GB22 GR27 HR21 HU28 IE22 IL23 IS26 IT27
  LI21 LT20 LU20 LV21 MC27 MT31 NL18 NO15 PL28 PT25 RO24 RS22 SA24 SE24 SI19 SK24 SM27 TR26 UA29 ]], "(%u+)(%d+)") do
  IBANS[country] = tonumber(length)
end

local function iban(t, at, near)
  local length = IBANS[sub(near, 1, 2)]
  if not length then return nil end
  local n, i = "", 1
  while #n < length do
    local c = match(near, #n % 4 == 0 and "^ ?([%u%d])" or "^([%u%d])", i)
    if not c then return nil end
    n, i = n .. c, find(near, c, i, true) + 1
  end
  local rest = 0
  for c in string.gmatch(sub(n, 5) .. sub(n, 1, 4), ".") do
    local value = tonumber(c, 36)
    rest = (rest * (value < 10 and 10 or 100) + value) % 97
  end
  if rest == 1 and not word_at(t, at + i - 1) then return at, at + i - 1, "iban" end
end

local function ssn(t, at, near)
  local area, group, serial = match(near, "^(%d%d%d)%-(%d%d)%-(%d%d%d%d)%f[%D]")
  if not area or area == "000" or area == "666" or area >= "900" or group == "00" or serial == "0000" then return nil end
  if alone(t, at, at + 11) then return at, at + 11, "ssn" end
end

-- ---- Addresses ----

-- Four numbers below 256.
local function dotted(text)
  local a, b, c, d = match(text, "^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$")
  return a and math.max(tonumber(a), tonumber(b), tonumber(c), tonumber(d)) < 256
end

-- Eight groups of hexadecimal digits, or four and more with a gap.
local function colons(text)
  local groups, empty, fit = 0, 0, find(text, "^[%x:]*$")
  for group in string.gmatch(text .. ":", "(%x*):") do
    groups, fit = groups + 1, fit and #group <= 4
    if group == "" then empty = empty + 1 end
  end
  return fit and (groups == 8 and empty ~= 1 or groups >= 4 and groups < 8 and empty == 1)
end

local function ip(t, at, near)
  local text = string.gsub(match(sub(near, 1, 40), "^[%x:.]*"), "[:.]+$", "")
  local free = at == 1 or not find(t, "^[./v:-]", at - 1)
  if free and (dotted(text) or colons(text)) and not word_at(t, at + #text) then return at, at + #text, "ip" end
end

local FILES = set "png jpg jpeg gif svg webp"

local function email(t, at, near)
  local name = match(near, "^(%w[%w.!#$%%&'*+/=?^_{|}~-]*)@")
  if not name or #name > 64 or name == "git" then return nil end
  local from = at + #name + 1
  local domain = string.gsub(match(ahead(t, from), "^[%w.-]*"), "[.-]+$", "")
  local last = match(domain, "^.+%.(%a%a+)$")
  if last and not FILES[last] then return at, from + #domain, "email" end
end

-- What may be a phone number: the lengths of its groups of digits, the place
-- after it, and whether one of them is in brackets.
local function dialled(t, at)
  local groups, total, bracket = {}, 0, false
  local open, group, after = match(t, "^%+?(%(?)(%d+)()", at)
  local closed = ""
  while group and total <= 15 and not (bracket and open ~= "") and not (closed ~= "" and not bracket) do
    bracket = bracket or open ~= ""
    groups[#groups + 1], total, at = #group, total + #group, after
    closed, open, group, after = match(t, "^(%)?)[ ./-]?(%(?)(%d+)()", after)
  end
  return groups, at, bracket
end

-- Whether all groups from the second on have at least so many digits.
local function least(groups, n)
  for i = 2, #groups do
    if groups[i] < n then return false end
  end
  return true
end

local function phone(t, at)
  local before = sub(t, math.max(1, at - 4), at - 1)
  if find(before, "[%w_\x80-\xff./#=:+-]$") and before ~= "tel:" then return nil end
  if find(t, "^%(", at) and not find(t, "^%(%d*%)", at) then return nil end -- a bracket around something else
  local groups, after, bracket = dialled(t, at)
  if #groups == 0 or word_at(t, after) or find(t, NEXT_WORD, after) then return nil end

  local total, shape, number = 0, table.concat(groups, " "), sub(t, find(t, "%d", at), after - 1)
  for _, g in ipairs(groups) do total = total + g end
  local national = #groups >= 2 and total >= 9 and total <= 12 and groups[1] >= 3 and groups[1] <= 5
  local whole
  if find(t, "^%+", at) then
    whole = not find(number, "^0") and total >= 9 and total <= 15 and (#groups > 1 or total >= 10)
      and (least(groups, 2) or total >= 11)
  elseif bracket then
    whole = national or shape == "3 3 4"
  elseif find(number, "^0") then -- within a country, or from it to another
    whole = (shape == "2 2 2 2 2" or national and #groups <= 5 and least(groups, 2)) and not find(number, "^00")
      or find(number, "^00[^0]") and #groups > 1 and total >= 11 and total <= 15
  else
    whole = shape == "3 3 4" and find(number, "^[2-9]") or shape == "1 3 3 4" and find(number, "^1")
  end
  if whole then return at, after, "phone" end
end

-- ---- The search ----

-- What may begin with a byte, the surest first.
local function detectors(first)
  if first == "-" then return { private_key } end
  if first == "+" or first == "(" then return { phone } end
  if first == ":" then return { ip } end
  if first == "_" then return { assigned } end
  if find(first, "%d") then return { bot_token, url_password, assigned, card, ssn, ip, email, phone } end
  local list = { provider_key, url_password, assigned, email }
  if first == "e" then table.insert(list, 1, jwt) end
  if find(first, "[Bb]") then table.insert(list, #list - 1, bearer) end
  if find(first, "%u") then table.insert(list, #list, iban) end
  if find(first, "%x") then table.insert(list, #list, ip) end
  return list
end

local DETECTORS = {}
for b = 1, 127 do
  local first = string.char(b)
  if find(first, "[%w_+(:-]") then DETECTORS[b] = detectors(first) end
end

-- The first thing that begins at a place.
local function detect(t, at)
  local near = sub(t, at, at + 79)
  for _, detector in ipairs(DETECTORS[byte(t, at)]) do
    local from, after, kind = detector(t, at, near)
    if from then return { from = from, after = after, kind = kind } end
  end
end

-- All that begins with a word or a mark, from left to right.
local function spans(t)
  local list, at = {}, find(t, "[%w_+(:-]")
  while at do
    local inside = at > 1 and word_at(t, at - 1) and word_at(t, at)
    local span = not inside and detect(t, at)
    if span then
      list[#list + 1] = span
      at = span.after
    else
      at = match(t, A_WORD, at) or at + 1
    end
    at = find(t, "[%w_+(:-]", at)
  end
  return list
end

-- Values stand in a place: "known" among the arguments that the tool knows,
-- "name" in a name that others use for the same thing, "free" in metadata, where
-- members have any meaning. A job has the kinds that are wanted, and keeps those
-- that were found, in anything and in names.

-- A text that is a member under that key, without what was found in it; nil if
-- that is nothing.
local function clean(job, text, key, place)
  local label = labelled(key)
  local whole = label and secret(text, label, ":", true)
  local parts, done = {}, 1
  for _, s in ipairs(whole and { { from = 1, after = #text + 1, kind = label.kind } } or spans(text)) do
    if job.kinds[s.kind] then
      parts[#parts + 1] = sub(text, done, s.from - 1) .. "[" .. KINDS[s.kind] .. " removed]"
      done = match(text, "^[\x80-\xbf]*()", s.after) -- whole letters
      table.insert(job.found, s.kind)
      if place == "name" then table.insert(job.named, s.kind) end
    end
  end
  if #parts > 0 then return table.concat(parts) .. sub(text, done) end
end

-- The place of a member of an object that stands in a place.
local function within(job, key, place)
  if place ~= "known" then return place end
  if key == "metadata" then return "free" end
  return (NAMES[key] or job.entities and key == "name") and "name" or "known"
end

-- A value that is a member under that key, without what was found in it.
local function search(job, value, key, place)
  if type(value) == "string" then return clean(job, value, key, place) or value end
  if type(value) == "number" then return clean(job, tostring(value), key, place) or value end
  if type(value) ~= "table" then return value end
  if #value > 0 then
    for i, item in ipairs(value) do value[i] = search(job, item, key, place) end
    return value
  end
  local keys = {}
  for k in pairs(value) do keys[#keys + 1] = k end
  table.sort(keys)
  for _, k in ipairs(keys) do
    if place ~= "known" or not PLAIN[k] then
      local member = search(job, value[k], k, within(job, k, place))
      value[k] = nil
      value[clean(job, k, "", place) or k] = member
    end
  end
  return value
end

-- The kinds that the config wants.
local function wanted()
  local kinds = {}
  for kind in pairs(KINDS) do kinds[kind] = not config.kinds and kind ~= "ip" end
  for _, kind in ipairs(config.kinds or {}) do
    if kinds[kind] == nil then error { message = "kinds in the config names something that redact does not know" } end
    kinds[kind] = true
  end
  if config.kinds and #config.kinds == 0 then error { message = "kinds in the config names nothing" } end
  return kinds
end

function tool_mask(params)
  -- The names of entities are contexts.
  local job = { kinds = wanted(), found = {}, named = {}, entities = params.tool == "create_entities" }
  local args = search(job, params.args, "", "known")
  local refused = config.mode == "refuse" and job.found or job.named
  if #refused > 0 then
    local what = KINDS[refused[1]]
    local article = find(what, "^[aeAEI]") and "an" or "a"
    return { refuse = "it holds " .. article .. " " .. what .. ": leave that out" }
  end
  return #job.found > 0 and { args = args } or {}
end
