-- What a script finds beside Lua's own libraries. It is run once, before any
-- script, with the host's functions, and returns what guest.c calls. All that
-- it uses later it keeps in locals: a script may change every table.
local host = ...
local call, write, chance = host.call, host.log, host.chance
local encode, array = json.encode, json.array
local error, getmetatable, load, pairs, rawget, rawset, tostring, type = error, getmetatable, load, pairs, rawget, rawset, tostring, type
local concat, pack, sort = table.concat, table.pack, table.sort
local find, gsub, sub = string.find, string.gsub, string.sub
local world = _G

dofile, loadfile, string.dump, warn = nil, nil, nil, nil

-- Every call begins in the same state, and draws other numbers all the same.
local seed = math.randomseed
function math.randomseed(...)
  if ... then return seed(...) end
  return seed(chance())
end

-- Logs: values side by side, tables as JSON.
local function line(...)
  local parts = pack(...)
  for i = 1, parts.n do
    local v = parts[i]
    local plain = type(v) == "table" and not (getmetatable(v) or {}).__tostring
    parts[i] = plain and encode(v) or tostring(v)
  end
  return concat(parts, " ")
end

log = setmetatable({}, { __call = function(_, ...) write(1, line(...)) end })
for level, name in pairs { [0] = "debug", "info", "warn", "error" } do
  log[name] = function(...) write(level, line(...)) end
end
print = log.info

now_ms, emit = host.now_ms, host.emit

-- The memory.
engram = { call = call }

local function with(fields, more)
  for k, v in pairs(more or {}) do fields[k] = v end
  return fields
end

function engram.create(content, source, confidence)
  if type(content) == "table" then
    local made = call("engram_create", content).engrams
    return content.engrams and made or made[1]
  end
  return call("engram_create", { content = content, source = source, confidence = confidence }).engrams[1].id
end

function engram.get(id, more)
  if type(id) == "table" then return call("engram_get", with({ ids = array(id) }, more)).engrams end
  return call("engram_get", with({ ids = { id } }, more)).engrams[1]
end

function engram.search(query, more)
  local found = call("engram_search", type(query) == "table" and query or with({ query = query }, more))
  return found.hits, found.cursor
end

-- An iterator over every match, which are fetched page by page.
function engram.each(filter)
  local query = with({ limit = 200, max_tokens = 100000 }, filter)
  local hits, i, more = {}, 0, true
  return function()
    i = i + 1
    while not hits[i] and more do
      local page = call("engram_search", query)
      hits, i, query.cursor = page.hits, 1, page.cursor
      more = page.cursor ~= nil
    end
    return hits[i]
  end
end

function engram.update(id, fields) return call("engram_update", with({ id = id }, fields)).engram end

function engram.link(from, to, relation, weight)
  if type(from) ~= "table" then
    return call("engram_link", { links = { { from = from, to = to, relation = relation, weight = weight } } }).links[1]
  end
  local one = from.from ~= nil
  local made = call("engram_link", { links = one and { from } or array(from) }).links
  return one and made[1] or made
end

function engram.unlink(from, to, relation)
  return call("engram_unlink", { links = { { from = from, to = to, relation = relation } } }).links
end

function engram.forget(id)
  if type(id) ~= "table" then return call("engram_forget", { ids = { id } }).forgotten end
  return call("engram_forget", #id > 0 and { ids = array(id) } or id).forgotten
end

function engram.graph(start, more) return call("engram_graph", with({ start = start }, more)) end

function engram.history(id, more) return call("engram_history", with({ id = id }, more)) end

-- Actions that say what they take. is makes the types of parameters, JSON
-- schemas all of them; tool makes a function and such parameters into an action.
local declared = {}

local function kind(name)
  return function(about, more) return with({ type = name, description = about }, more) end
end

local function schema(fields, where)
  local made = { type = "object", properties = {}, required = array(), additionalProperties = false }
  for name, field in pairs(fields) do
    if type(name) ~= "string" or type(field) ~= "table" or not field.type then
      error(where .. ": " .. tostring(name) .. " needs a type, such as is.string \"what it is\"", 3)
    end
    local property = with({}, field)
    property.optional = nil
    made.properties[name] = property
    if not field.optional and field.default == nil then made.required[#made.required + 1] = name end
  end
  sort(made.required)
  return made
end

is = { string = kind "string", integer = kind "integer", number = kind "number", boolean = kind "boolean" }

function is.one_of(values, about, more) return with({ type = "string", enum = array(values), description = about }, more) end

function is.list(item, about, more) return with({ type = "array", items = item, description = about }, more) end

function is.object(fields, about, more) return with(with(schema(fields, "is.object"), { description = about }), more) end

function tool(name, about, params, run, more)
  local action = { name = name, description = about, input_schema = schema(params, name), read_only = more and more.read_only }
  if more and more.returns then action.output_schema = schema(more.returns, name .. " returns") end
  declared[name] = action
  world["tool_" .. gsub(name, "-", "_")] = function(given)
    for key, field in pairs(params) do
      if given[key] == nil then given[key] = field.default end
    end
    return run(given)
  end
end

-- An error of an operation: {code, message, hint}.
local failure = host.error_meta
failure.__tostring = function(e) return e.where .. e.message end

-- globals is fetched when it is first looked at, and stored after an action
-- that changed it.
local stored

setmetatable(world, {
  __metatable = false,
  __index = function(t, name)
    if name ~= "globals" then return nil end
    local g = call("globals_get")
    stored = encode(g)
    rawset(t, "globals", g)
    return g
  end,
})

local function store_globals()
  local g = rawget(world, "globals")
  if g == nil then return end
  if type(g) ~= "table" then error("globals must be a table, it is a " .. type(g), 0) end
  if encode(g) ~= stored then call("globals_set", g) end
end

local function load_script(name, text)
  config = host.config()
  local chunk, problem = load(text, "@" .. name, "t")
  if not chunk then error(problem, 0) end
  chunk()
  if rawget(world, "globals") ~= nil then error(name .. ": globals are set by actions, not while the script is loaded", 0) end
  local initialize = rawget(world, "initialize")
  if initialize then initialize(config) end
end

-- null says that execute performs whatever the manifest names.
local function capabilities()
  if rawget(world, "execute") ~= nil then return nil end
  local names, list = {}, array()
  for k, v in next, world do
    if type(k) == "string" and find(k, "^tool_.") and type(v) == "function" then names[#names + 1] = k end
  end
  sort(names)
  for i = 1, #names do
    local name = gsub(sub(names[i], 6), "_", "-")
    list[i] = declared[name] or { name = name }
  end
  return list
end

local function perform(action, params)
  stored = nil
  rawset(world, "globals", nil)
  seed(chance())
  local name, result = "tool_" .. gsub(action, "-", "_"), nil
  if rawget(world, name) ~= nil then
    result = rawget(world, name)(params)
  elseif rawget(world, "execute") ~= nil then
    result = rawget(world, "execute")(action, params)
  else
    error("the script defines neither " .. name .. " nor execute", 0)
  end
  store_globals()
  return result
end

local function explain(e)
  if type(e) == "table" and getmetatable(e) ~= failure and type(e.message) == "string" then return { message = e.message } end
  return { message = tostring(e) }
end

return load_script, capabilities, perform, explain
