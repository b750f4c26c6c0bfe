-- Makes engrams of a Markdown text or of a conversation.
--
-- text: {"text", "context", "format"?, "source"?, "time"?, "request_id"?} ->
-- {"format", "engrams": [ids in their order], "links": how many}
--
-- markdown: a heading is an engram of kind section, a paragraph, list, table or
-- block of code one of kind note; each is linked `part_of` to the section that
-- it stands in. jsonl: a turn on each line, or a list of them, with a role or
-- name, a content and perhaps a time. chat: "Name: text" lines, perhaps after a
-- date and time; lines without a name go on with the turn before. Turns are
-- engrams of kind turn with the speaker as source.
--
-- All go into the context in the order of the text. With a request_id, a UUID,
-- a repeated call changes nothing and gives the same ids.

-- As many engrams as one call of engram_create takes.
local MOST = 1000

-- The longest engram; longer paragraphs are cut between sentences.
local LONGEST = 4000

local function trim(text) return string.match(string.match(text, "%S.*") or "", ".*%S") or "" end

local function lines(text) return string.gmatch(text, "([^\n]*)\n?") end

-- ---- Markdown ----

-- The level and text of a heading; nil if a line is none.
local function heading(line)
  local marks, title = string.match(line, "^(#+)( .*%S)")
  if marks and #marks <= 6 then return #marks, trim((string.gsub(title, "#+$", ""))) end
end

-- The text without YAML between lines of --- at its beginning.
local function body(text)
  if string.sub(text, 1, 4) ~= "---\n" then return text end
  local _, last = string.find(text, "\n---\n", 4, true)
  return last and string.sub(text, last + 1) or text
end

-- Where to cut a text that is too long: after a line, a sentence or a word.
local function cut(text)
  if #text <= LONGEST then return #text end
  local most = utf8.offset(text, 0, LONGEST + 1) - 1
  local head = string.sub(text, 1, most)
  for _, pattern in ipairs { "^.*\n()", "^.*%. ()", "^.* ()" } do
    local after = string.match(head, pattern)
    if after and after - 1 > LONGEST / 4 then return after - 1 end
  end
  return most
end

local function markdown(text)
  local parts, open, block = {}, {}, {} -- open: the sections around, with their levels
  local fence

  local function note()
    local rest = string.match(table.concat(block, "\n"), ".*%S")
    while rest do
      local last = cut(rest)
      parts[#parts + 1] = { content = string.sub(rest, 1, last), kind = "note", parent = open[#open] }
      rest = string.match(rest, "%S.*", last + 1)
    end
    block = {}
  end

  for line in lines(body(text)) do
    local mark = string.match(line, "^%s*(```)") or string.match(line, "^%s*(~~~)")
    local level, title
    if not fence then level, title = heading(line) end
    if level or not fence and trim(line) == "" then note() else block[#block + 1] = line end
    if level then
      while #open > 0 and open[#open].metadata.level >= level do table.remove(open) end
      local section = { content = title, kind = "section", metadata = { level = level }, parent = open[#open] }
      parts[#parts + 1], open[#open + 1] = section, section
    end
    if not fence then fence = mark elseif fence == mark then fence = nil end
  end
  note()
  return parts
end

-- ---- Conversations ----

-- A time as RFC 3339; nil if it is none.
local function instant(text)
  local day, rest = string.match(text, "^(%d%d%d%d%-%d%d%-%d%d)(.*)")
  if not day then return nil end
  local clock, zone = string.match(rest, "^[T ](%d%d:%d%d:%d%d)(.*)")
  if clock then return day .. "T" .. clock .. (zone == "" and "Z" or zone) end
  clock = string.match(rest, "^[T ](%d%d:%d%d)")
  return clock and day .. "T" .. clock .. ":00Z" or day
end

-- A date and time at the beginning of a line, perhaps in brackets, and the rest.
local function stamp(line)
  local digits, rest = string.match(line, "^[%[(]?([%d:TZ. +-]*)(.*)")
  local time = instant((string.gsub(digits, "[ .:+-]+$", "")))
  if not time then return nil, line end
  rest = string.gsub(string.gsub(rest, "^[%])]+", ""), "^[ ,|-]+", "")
  return time, (string.gsub(rest, "^–[ ,|-]*", ""))
end

-- The time, name and words of a line such as "[2024-05-07 10:00] Ada: Hello";
-- nil if it goes on with the line before.
local function turn(line)
  if string.find(line, "^%s") then return nil end
  local time, rest = stamp((string.gsub(string.gsub(trim(line), "^[-] ", ""), "^> ", "")))
  local name, words = string.match(string.gsub(rest, "^%*%*", ""), "^([^:]*):(.*)")
  if not name then return nil end
  name, words = trim((string.gsub(name, "%*%*$", ""))), trim((string.gsub(words, "^%*%*", "")))
  local _, blanks = string.gsub(name, "%s+", "")
  local called = #name <= 40 and blanks <= 2 and string.find(name, "^[%a\x80-\xff][%w\x80-\xff _.'@-]*$")
    and not string.find(name, "\xe2[\x80-\xaf]") and string.sub(words, 1, 2) ~= "//"
  if called then return { content = words, kind = "turn", source = name, time = time } end
end

local function chat(text)
  local parts = {}
  for line in lines(text) do
    local said, last = turn(line), parts[#parts]
    if said then
      parts[#parts + 1] = said
    elseif last then
      last.content = last.content .. "\n" .. line
    elseif trim(line) ~= "" then
      parts[1] = { content = line, kind = "note" }
    end
  end
  return parts
end

-- RFC 3339 of seconds or milliseconds since 1970.
local function since_1970(n)
  local seconds = (n > 1e11 and n / 1000 or n) // 1 | 0
  local days, rest = seconds // 86400 + 719468, seconds % 86400
  -- March is the first month of a year here, so that the leap day is its last.
  local era, of_era = days // 146097, days % 146097
  local year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year + year // 4 - year // 100)
  local m = (5 * of_year + 2) // 153
  local day, month = of_year - (153 * m + 2) // 5 + 1, m < 10 and m + 3 or m - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  return string.format("%04d-%02d-%02dT%02d:%02d:%02dZ", year, month, day, rest // 3600, rest // 60 % 60, rest % 60)
end

local function string_or_empty(value) return type(value) == "string" and value or "" end

-- The first member under one of these keys that is not null.
local function first(object, ...)
  for _, key in ipairs { ... } do
    if object[key] ~= nil and object[key] ~= json.null then return object[key] end
  end
end

-- The text of a message, which may come in pieces or have parts.
local function content_of(message)
  if type(message) ~= "table" then return string_or_empty(message) end
  if #message == 0 then return string_or_empty(message.content) end
  local pieces = {}
  for i, piece in ipairs(message) do
    pieces[i] = string_or_empty(type(piece) == "table" and piece.text or piece)
  end
  return table.concat(pieces, "\n")
end

local function json_turn(object)
  if type(object) ~= "table" then return { content = "" } end
  local time = first(object, "time", "timestamp", "created_at", "create_time", "date", "ts")
  if type(time) == "number" then time = since_1970(time) else time = instant(string_or_empty(time)) end
  return {
    content = content_of(first(object, "content", "text", "message", "body")), kind = "turn", time = time,
    source = string_or_empty(first(object, "name", "speaker", "author", "from", "user", "role")),
  }
end

local function json_turns(text)
  local list = {}
  local whole, value = pcall(json.decode, trim(text))
  if whole and type(value) == "table" then
    if type(value.messages) == "table" then value = value.messages end
    list = #value > 0 and value or { value }
  elseif not whole then
    local n = 0
    for line in lines(text) do
      n = n + 1
      if trim(line) ~= "" then
        local ok, one = pcall(json.decode, line)
        if not ok then error { message = "line " .. n .. " is not JSON" } end
        list[#list + 1] = one
      end
    end
  end
  local parts = {}
  for i, object in ipairs(list) do parts[i] = json_turn(object) end
  return parts
end

-- ---- The text ----

-- The format of a text that does not say it.
local function guess(text)
  local start = string.match(text, "%S") or ""
  if start == "{" or start == "[" and pcall(json.decode, text) then return "jsonl" end
  local turns, all = 0, 0
  for line in lines(text) do
    if heading(line) then return "markdown" end
    if turn(line) then turns = turns + 1 end
    if trim(line) ~= "" then all = all + 1 end
  end
  return turns >= 2 and turns * 2 >= all and "chat" or "markdown"
end

-- The engram of a part, with what the caller says of the whole text where the
-- part itself says nothing. Turns that repeat are kept apart if asked.
local function engram_of(part, params, apart)
  return {
    content = trim(part.content), kind = part.kind, metadata = part.metadata,
    context = params.context, collections = params.collections,
    source = (part.source or "") ~= "" and part.source or params.source,
    valid_from = part.time or params.time,
    allow_duplicate = apart or nil,
  }
end

function tool_text(params)
  local text = string.gsub(params.text, "\r\n", "\n")
  local format = params.format or guess(text)
  local read = { markdown = markdown, jsonl = json_turns, chat = chat }

  local parts, engrams = {}, {}
  local request = params.request_id ~= "" and params.request_id or nil
  for _, part in ipairs(read[format](text)) do
    if trim(part.content) ~= "" then
      parts[#parts + 1] = part
      engrams[#engrams + 1] = engram_of(part, params, request ~= nil)
    end
  end
  if #parts == 0 then error { message = "there is nothing to remember in the text" } end
  if #parts > MOST then
    error { message = "the text has " .. #parts .. " parts, more than " .. MOST .. ": give it in several pieces" }
  end

  local ids, links = {}, {}
  for i, made in ipairs(engram.create { engrams = engrams, request_id = request }) do
    parts[i].id, ids[i] = made.id, made.id
  end
  for _, part in ipairs(parts) do
    local whole = part.parent and part.parent.id
    if whole and whole ~= part.id then
      links[#links + 1] = { from = part.id, to = whole, relation = "part_of" }
    end
  end
  if #links > 0 then engram.link(links) end
  return { format = format, engrams = ids, links = #links }
end
