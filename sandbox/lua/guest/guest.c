/* Lua as an agent: what the host calls, and what prelude.lua builds on.
 *
 * _initialize makes the Lua state with all libraries; that memory is the same
 * for every script. initialize runs a script once, which defines functions.
 * execute calls one of them. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "ldo.h"
#include "lobject.h"
#include "lundump.h"
#include "lzio.h"

static lua_State *L;

/* What prelude.lua returns, by its place. */
enum { LOAD = 1, CAPABILITIES, PERFORM, EXPLAIN, HOOKS = EXPLAIN };
static int hooks[HOOKS + 1];

/* ---- What Lua and libc would take from an operating system ---- */

/* Bytecode could take over the interpreter: there is no code to load it. */
LClosure *luaU_undump(lua_State *l, ZIO *z, const char *name) {
  luaO_pushfstring(l, "bytecode is not loaded, only text");
  luaD_throw(l, LUA_ERRSYNTAX);
}

int luaU_dump(lua_State *l, const Proto *f, lua_Writer w, void *data, int strip) {
  return 1;
}

/* There are no files. */
int __wrap_luaL_loadfilex(lua_State *l, const char *name, const char *mode) {
  lua_pushliteral(l, "there are no files");
  return LUA_ERRFILE;
}

/* snprintf drags in libc's files; what they would call ends here. */
ssize_t writev(int file, const struct iovec *parts, int n) { return -1; }
int close(int file) { return -1; }

/* Lua asks for the time to seed math.random; prelude.lua has better seeds. */
time_t time(time_t *t) {
  if (t) *t = 0;
  return 0;
}

/* ---- Text from the host ---- */

/* The newest text that was read, used again for the next one. */
static struct {
  char *at;
  size_t room;
} in;

enum { KEEP = 256 << 10 }; /* a larger buffer is given back */

static char *room_for(lua_State *l, size_t len) {
  if (len + 1 > in.room || in.room > KEEP) {
    free(in.at);
    in.room = 0;
    in.at = malloc(len + 1);
    if (!in.at) luaL_error(l, "not enough memory");
    in.room = len + 1;
  }
  in.at[len] = 0;
  return in.at;
}

static text read_input(lua_State *l) {
  size_t len = host_input_len();
  char *at = room_for(l, len);
  host_input_read(at, len);
  return (text){at, len};
}

static text read_result(lua_State *l, size_t len) {
  char *at = room_for(l, len);
  host_result_read(at, len);
  return (text){at, len};
}

/* ---- What prelude.lua is given ---- */

/* Pushes "file:line: " of the innermost function of the script. */
static void push_where(lua_State *l) {
  lua_Debug d;
  for (int level = 0; lua_getstack(l, level, &d); level++) {
    lua_getinfo(l, "Sl", &d);
    if (d.currentline > 0 && strcmp(d.short_src, "engram") != 0) {
      lua_pushfstring(l, "%s:%d: ", d.short_src, d.currentline);
      return;
    }
  }
  lua_pushliteral(l, "");
}

/* call(op, params) performs an operation. An error is a table {code, message,
 * hint, where} with the metatable of upvalue 1. */
static int l_call(lua_State *l) {
  size_t op_len;
  const char *op = luaL_checklstring(l, 1, &op_len);
  lua_settop(l, 2);
  if (lua_isnil(l, 2)) {
    lua_newtable(l);
    lua_replace(l, 2);
  }
  text params = json_encode(l, 2);
  int32_t n = host_call(op, op_len, params.at, params.len);
  json_decode(l, read_result(l, n < 0 ? -(size_t)n : (size_t)n));
  if (n >= 0) return 1;
  push_where(l);
  lua_setfield(l, -2, "where");
  lua_pushvalue(l, lua_upvalueindex(1));
  lua_setmetatable(l, -2);
  return lua_error(l);
}

static int l_log(lua_State *l) {
  size_t n;
  const char *s = luaL_checklstring(l, 2, &n);
  host_log((int32_t)luaL_checkinteger(l, 1), s, n);
  return 0;
}

static int l_emit(lua_State *l) {
  luaL_checkany(l, 1);
  text t = json_encode(l, 1);
  host_emit(t.at, t.len);
  return 0;
}

static int l_now_ms(lua_State *l) {
  lua_pushinteger(l, host_now_ms());
  return 1;
}

/* chance() returns two integers that nobody can foretell. */
static int l_chance(lua_State *l) {
  lua_Integer n[2] = {0, 0};
  random_get(n, sizeof n);
  lua_pushinteger(l, n[0]);
  lua_pushinteger(l, n[1]);
  return 2;
}

static int l_config(lua_State *l) {
  int32_t n = host_config("", 0);
  json_decode(l, read_result(l, n < 0 ? 0 : (size_t)n));
  return 1;
}

static const luaL_Reg host_functions[] = {
    {"log", l_log}, {"emit", l_emit}, {"now_ms", l_now_ms}, {"chance", l_chance}, {"config", l_config}, {NULL, NULL}};

static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},         {LUA_COLIBNAME, luaopen_coroutine}, {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
    {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8},    {"json", json_open},             {NULL, NULL}};

static const char prelude[] = {
#embed "prelude.lua"
};

static void *allocate(void *data, void *block, size_t old, size_t size) {
  if (size == 0) {
    free(block);
    return NULL;
  }
  return realloc(block, size);
}

/* Runs prelude.lua with the host's functions, and keeps what it returns. */
static int prepare(lua_State *l) {
  for (const luaL_Reg *r = libraries; r->func; r++) {
    luaL_requiref(l, r->name, r->func, 1);
    lua_pop(l, 1);
  }
  if (luaL_loadbufferx(l, prelude, sizeof prelude, "=engram", "t") != LUA_OK) return lua_error(l);
  luaL_newlib(l, host_functions);
  lua_newtable(l); /* the metatable of errors */
  lua_pushvalue(l, -1);
  lua_setfield(l, -3, "error_meta");
  lua_pushcclosure(l, l_call, 1);
  lua_setfield(l, -2, "call");
  lua_call(l, 1, HOOKS);
  for (int i = HOOKS; i > 0; i--) hooks[i] = luaL_ref(l, LUA_REGISTRYINDEX);
  lua_gc(l, LUA_GCCOLLECT);
  return 0;
}

__attribute__((constructor)) static void start(void) {
  L = lua_newstate(allocate, NULL);
  if (!L) __builtin_trap();
  lua_pushcfunction(L, prepare);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    host_log(3, s, n);
    __builtin_trap();
  }
}

/* ---- What the host calls ---- */

/* Logs where a fault of the script happened. Tables are errors on purpose. */
static int on_error(lua_State *l) {
  if (lua_type(l, 1) == LUA_TSTRING) {
    size_t n;
    luaL_traceback(l, l, lua_tostring(l, 1), 1);
    const char *s = lua_tolstring(l, -1, &n);
    host_log(3, s, n);
    lua_settop(l, 1);
  }
  return 1;
}

/* Outputs {"message"} for the error at 1. */
static int explain(lua_State *l) {
  lua_rawgeti(l, LUA_REGISTRYINDEX, hooks[EXPLAIN]);
  lua_insert(l, 1);
  lua_call(l, 1, 1);
  text t = json_encode(l, -1);
  host_output(t.at, t.len);
  return 0;
}

/* Calls f so that an error becomes the output. */
static int32_t protect(lua_CFunction f) {
  lua_settop(L, 0);
  lua_pushcfunction(L, on_error);
  lua_pushcfunction(L, f);
  if (lua_pcall(L, 0, 0, 1) == LUA_OK) return 0;
  lua_pushcfunction(L, explain);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    static const char twice[] = "an error met another one while it was described";
    host_output(twice, sizeof twice - 1);
  }
  return 1;
}

static void push_hook(lua_State *l, int hook) { lua_rawgeti(l, LUA_REGISTRYINDEX, hooks[hook]); }

/* The input is the script's name, a zero byte, and its text. */
static int load_script(lua_State *l) {
  text t = read_input(l);
  size_t name = strlen(t.at);
  push_hook(l, LOAD);
  lua_pushlstring(l, t.at, name);
  if (name < t.len) name++;
  lua_pushlstring(l, t.at + name, t.len - name);
  lua_call(l, 2, 0);
  lua_gc(l, LUA_GCCOLLECT);
  return 0;
}

EXPORT(initialize) { return protect(load_script); }

static int output_top(lua_State *l) {
  text t = json_encode(l, -1);
  host_output(t.at, t.len);
  return 0;
}

static int list_actions(lua_State *l) {
  push_hook(l, CAPABILITIES);
  lua_call(l, 0, 1);
  return output_top(l);
}

EXPORT(capabilities) { return protect(list_actions); }

static int perform(lua_State *l) {
  push_hook(l, PERFORM);
  json_decode(l, read_input(l));
  lua_getfield(l, -1, "action");
  lua_getfield(l, -2, "params");
  lua_remove(l, -3);
  lua_call(l, 2, 1);
  return output_top(l);
}

EXPORT(execute) { return protect(perform); }
