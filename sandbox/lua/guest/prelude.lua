-- What a script finds beside Lua's own libraries. It is run once, before any
-- script, with the host's functions, and returns what guest.c calls.
local host = ...
local call, json = host.call, json
local type, tostring, error, select, rawget, rawset, load = type, tostring, error, select, rawget, rawset, load
local concat, pack, gsub, find = table.concat, table.pack, string.gsub, string.find
local world = _G

dofile, loadfile, string.dump, warn = nil, nil, nil, nil

-- An error of an operation: {code, message, hint}.
local failure = host.error_meta
failure.__tostring = function(e) return e.where .. e.message end

-- Logs. Tables are shown as JSON.
local function line(...)
  local parts = pack(...)
  for i = 1, parts.n do
    local v = parts[i]
    local meta = type(v) == "table" and getmetatable(v)
    parts[i] = type(v) == "table" and not (meta and meta.__tostring) and json.encode(v) or tostring(v)
  end
  return concat(parts, " ", 1, parts.n)
end

log = setmetatable({}, { __call = function(_, ...) host.log(1, line(...)) end })
for level, name in pairs { [0] = "debug", "info", "warn", "error" } do
  log[name] = function(...) host.log(level, line(...)) end
end
print = log.info

now_ms, emit = host.now_ms, host.emit

-- The memory.
engram = { call = call }

local function options(first, o)
  local all = {}
  for k, v in pairs(o or {}) do all[k] = v end
  for k, v in pairs(first) do all[k] = v end
  return all
end

function engram.create(content, source, confidence)
  if type(content) == "table" then
    local made = call("engram_create", content).engrams
    return content.engrams and made or made[1]
  end
  return call("engram_create", { content = content, source = source, confidence = confidence }).engrams[1].id
end

function engram.get(id, o)
  if type(id) == "table" then return call("engram_get", options({ ids = json.array(id) }, o)).engrams end
  return call("engram_get", options({ ids = { id } }, o)).engrams[1]
end

function engram.search(query, o)
  local found = call("engram_search", type(query) == "table" and query or options({ query = query }, o))
  return found.hits, found.cursor
end

function engram.update(id, fields) return call("engram_update", options({ id = id }, fields)).engram end

function engram.link(from, to, relation, weight)
  if type(from) ~= "table" then
    return call("engram_link", { links = { { from = from, to = to, relation = relation, weight = weight } } }).links[1]
  end
  local one = from.from ~= nil
  local made = call("engram_link", { links = one and { from } or json.array(from) }).links
  return one and made[1] or made
end

function engram.unlink(from, to, relation)
  return call("engram_unlink", { links = { { from = from, to = to, relation = relation } } })
end

function engram.forget(id)
  if type(id) ~= "table" then return call("engram_forget", { ids = { id } }) end
  return call("engram_forget", #id > 0 and { ids = json.array(id) } or id)
end

function engram.graph(start, o) return call("engram_graph", options({ start = start }, o)) end

function engram.history(id, o) return call("engram_history", options({ id = id }, o)) end

-- globals is fetched when it is first looked at, and stored after an action
-- that changed it.
local stored

setmetatable(world, {
  __metatable = false,
  __index = function(t, name)
    if name ~= "globals" then return nil end
    local g = call("globals_get")
    stored = json.encode(g)
    rawset(t, "globals", g)
    return g
  end,
})

local function store_globals()
  local g = rawget(world, "globals")
  if g == nil then return end
  if type(g) ~= "table" then error("globals must be a table, it is a " .. type(g), 0) end
  if json.encode(g) ~= stored then call("globals_set", g) end
end

local function entry(action)
  local own = rawget(world, "tool_" .. gsub(action, "-", "_"))
  if own ~= nil then return own end
  local any = rawget(world, "execute")
  if any == nil then error("the script defines neither tool_" .. gsub(action, "-", "_") .. " nor execute", 0) end
  return function(params) return any(action, params) end
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

-- nil says that execute performs whatever the manifest names.
local function capabilities()
  if rawget(world, "execute") ~= nil then return nil end
  local names, list = {}, json.array()
  for k, v in next, world do
    if type(k) == "string" and find(k, "^tool_.") and type(v) == "function" then names[#names + 1] = k end
  end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = { name = gsub(name:sub(6), "_", "-") } end
  return list
end

local function perform(action, params)
  stored = nil
  rawset(world, "globals", nil)
  local result = entry(action)(params)
  store_globals()
  return result
end

local function explain(e)
  if type(e) == "table" and getmetatable(e) ~= failure and type(e.message) == "string" then return { message = e.message } end
  return { message = tostring(e) }
end

return load_script, capabilities, perform, explain
