-- The reference agent of sandboxtest.
function tool_echo(params) return params end

function tool_ask(params) return engram.call(params.op, params["in"]) end

function tool_remember(params)
  local first = engram.create(params.content, "reference", 0.9)
  local second = engram.create("a second one", "reference")
  engram.link(first, second, "about")
  return { engrams = json.array { engram.get(first) } }
end

function tool_fail(params) error(params) end

function tool_count()
  globals.n = (globals.n or 0) + 1
  return globals
end

function tool_count_fail()
  tool_count()
  error("after counting")
end

function tool_peek() return globals end

local kept
function tool_mark(params)
  local before = kept
  kept = params.value
  return before
end

function tool_spin()
  while true do end
end

function tool_spin_try()
  while true do pcall(error, "again") end
end

function tool_bomb()
  local list, block = {}, string.rep("x", 1 << 16)
  while true do list[#list + 1] = block .. #list end
end

function tool_shout(params) return string.rep("a", params.bytes - 2) end

function tool_flood()
  while true do pcall(engram.search, "x") end
end

function tool_log(params) log.warn(params.text) end

function tool_reach()
  local reached = json.array()
  local function try(name, f)
    if pcall(f) then reached[#reached + 1] = name end
  end
  try("io", function() return io.open("/etc/passwd").read end)
  try("os", function() return os.getenv("PATH") .. os.time() end)
  try("require", function() return require("socket") end)
  try("package", function() return package.loadlib("libc.so", "*") end)
  try("debug", function() return debug.getregistry() end)
  try("dofile", function() return dofile("/etc/passwd") end)
  try("loadfile", function() return assert(loadfile("/etc/passwd")) end)
  return { reached = reached }
end
