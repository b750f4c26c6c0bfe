/* JSON for scripts. Arrays are tables with a metatable of their own, so that
 * an empty one stays an array; null is a light userdata; integers that fit
 * stay integers. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

/* Deep enough for data, and far from the end of the stack. */
enum { MAX_DEPTH = 1000 };

static const void *array_meta; /* the metatable of arrays, which never moves */
static const char array_key;   /* where the registry has it */

/* ---- Encoding ---- */

/* The output grows here and is used again by the next encoding: no error can
 * lose it. */
static struct {
  char *at;
  size_t len, room;
} out;

enum { KEEP = 256 << 10 }; /* a larger buffer is given back */

static char *reserve(lua_State *L, size_t n) {
  if (out.room - out.len < n) {
    size_t room = out.room ? out.room : 1024;
    while (room - out.len < n) room *= 2;
    char *at = realloc(out.at, room);
    if (!at) luaL_error(L, "not enough memory");
    out.at = at;
    out.room = room;
  }
  return out.at + out.len;
}

static void put(lua_State *L, const char *s, size_t n) {
  memcpy(reserve(L, n), s, n);
  out.len += n;
}

static void put_char(lua_State *L, char c) {
  *reserve(L, 1) = c;
  out.len++;
}

#define PUT(L, literal) put(L, literal, sizeof(literal) - 1)

/* The length of the UTF-8 sequence at s, or 0 if it is none. */
static size_t sequence(const unsigned char *s, size_t left) {
  unsigned char c = s[0];
  size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
  if (n > left) return 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f)) return 0;
  return n;
}

static void encode_string(lua_State *L, const unsigned char *s, size_t n) {
  static const char hex[] = "0123456789abcdef";
  put_char(L, '"');
  size_t plain = 0; /* bytes before i that need no change */
  for (size_t i = 0; i < n;) {
    unsigned char c = s[i];
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      i++, plain++;
      continue;
    }
    size_t len = c < 0x80 ? 0 : sequence(s + i, n - i);
    if (len) {
      i += len, plain += len;
      continue;
    }
    put(L, (const char *)s + i - plain, plain);
    plain = 0;
    i++;
    if (c >= 0x80) {
      PUT(L, "\xef\xbf\xbd"); /* not UTF-8 */
    } else if (c == '"' || c == '\\') {
      put(L, (char[]){'\\', c}, 2);
    } else if (c == '\n') {
      PUT(L, "\\n");
    } else {
      put(L, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    }
  }
  put(L, (const char *)s + n - plain, plain);
  put_char(L, '"');
}

static void encode_number(lua_State *L, int index) {
  char *to = reserve(L, 40);
  if (lua_isinteger(L, index)) {
    out.len += snprintf(to, 40, LUA_INTEGER_FMT, lua_tointeger(L, index));
    return;
  }
  double d = lua_tonumber(L, index);
  if (!isfinite(d)) luaL_error(L, "json: JSON has no infinity and no NaN");
  if (d == floor(d) && fabs(d) < 9007199254740992.0) { /* 3.0 is 3 for a schema that wants an integer */
    out.len += snprintf(to, 40, "%.0f", d);
    return;
  }
  int n = snprintf(to, 40, "%.14g", d);
  if (strtod(to, NULL) != d) n = snprintf(to, 40, "%.17g", d);
  out.len += n;
}

static bool marked(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return false;
  bool yes = lua_topointer(L, -1) == array_meta;
  lua_pop(L, 1);
  return yes;
}

/* Whether a table is an array, and of how many items. */
static bool is_array(lua_State *L, int index, lua_Integer *n) {
  *n = (lua_Integer)lua_rawlen(L, index);
  if (marked(L, index)) return true;
  if (*n == 0) return false;
  lua_Integer keys = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) keys++;
  if (keys != *n) luaL_error(L, "json: a table has both items and named keys, or gaps; mark it with json.array to take its items only");
  return true;
}

static void encode_key(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TSTRING)
    luaL_error(L, "json: a table has a %s as key; keys are strings, or 1 to n for an array", luaL_typename(L, index));
  size_t n;
  const char *s = lua_tolstring(L, index, &n);
  encode_string(L, (const unsigned char *)s, n);
  put_char(L, ':');
}

/* The one function that recurses: interpreted Wasm has few frames. */
static void encode(lua_State *L, int index, int depth) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA:
      PUT(L, "null");
      return;
    case LUA_TBOOLEAN:
      if (lua_toboolean(L, index)) PUT(L, "true");
      else PUT(L, "false");
      return;
    case LUA_TNUMBER:
      encode_number(L, index);
      return;
    case LUA_TSTRING: {
      size_t n;
      const char *s = lua_tolstring(L, index, &n);
      encode_string(L, (const unsigned char *)s, n);
      return;
    }
    case LUA_TTABLE:
      break;
    default:
      luaL_error(L, "json: a %s cannot be encoded", luaL_typename(L, index));
  }
  if (depth >= MAX_DEPTH) luaL_error(L, "json: tables nest too deeply, or one contains itself");
  luaL_checkstack(L, 4, "json");
  lua_Integer n;
  if (is_array(L, index, &n)) {
    put_char(L, '[');
    for (lua_Integer i = 1; i <= n; i++, lua_pop(L, 1)) {
      if (i > 1) put_char(L, ',');
      lua_rawgeti(L, index, i);
      encode(L, lua_gettop(L), depth + 1);
    }
    put_char(L, ']');
    return;
  }
  put_char(L, '{');
  n = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (n++ > 0) put_char(L, ',');
    encode_key(L, lua_absindex(L, -2));
    encode(L, lua_gettop(L), depth + 1);
  }
  put_char(L, '}');
}

text json_encode(lua_State *L, int index) {
  if (out.room > KEEP) {
    free(out.at);
    out.at = NULL;
    out.room = 0;
  }
  out.len = 0;
  encode(L, lua_absindex(L, index), 0);
  return (text){out.at, out.len};
}

/* ---- Decoding ---- */

typedef struct {
  lua_State *L;
  const char *from, *at, *end;
} reader;

static _Noreturn void bad(reader *r, const char *what) {
  luaL_error(r->L, "json: %s at byte %d", what, (int)(r->at - r->from) + 1);
  __builtin_unreachable();
}

static void skip(reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static bool take(reader *r, char c) {
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

static void expect(reader *r, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) bad(r, "unexpected character");
  r->at += n;
}

static bool digits(reader *r) {
  const char *from = r->at;
  while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
  return r->at > from;
}

static void decode_number(reader *r) {
  const char *from = r->at;
  bool integer = true;
  bool minus = take(r, '-');
  if (!take(r, '0') && !digits(r)) bad(r, "unexpected character");
  if (take(r, '.')) {
    integer = false;
    if (!digits(r)) bad(r, "digit expected");
  }
  if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
    integer = false;
    r->at++;
    if (!take(r, '+')) take(r, '-');
    if (!digits(r)) bad(r, "digit expected");
  }
  if (integer && r->at - from - minus < 20) {
    uint64_t v = 0;
    for (const char *d = from + minus; d < r->at; d++) v = v * 10 + (uint64_t)(*d - '0');
    if (v <= (uint64_t)INT64_MAX + minus && !(minus && v == 0)) {
      lua_pushinteger(r->L, (lua_Integer)(minus ? -v : v));
      return;
    }
  }
  lua_pushnumber(r->L, strtod(from, NULL)); /* ends where the digits do */
}

static unsigned hex4(reader *r) {
  unsigned v = 0;
  for (int i = 0; i < 4; i++, r->at++) {
    char c = r->at < r->end ? *r->at : 0;
    if (c >= '0' && c <= '9') v = v * 16 + (unsigned)(c - '0');
    else if ((c | 32) >= 'a' && (c | 32) <= 'f') v = v * 16 + (unsigned)((c | 32) - 'a' + 10);
    else bad(r, "four hexadecimal digits expected");
  }
  return v;
}

/* Reads the digits behind \u, and the second half of a pair. */
static unsigned code_point(reader *r) {
  unsigned c = hex4(r);
  if (c < 0xd800 || c > 0xdfff) return c;
  if (c < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
    const char *back = r->at;
    r->at += 2;
    unsigned low = hex4(r);
    if (low >= 0xdc00 && low <= 0xdfff) return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    r->at = back;
  }
  return 0xfffd;
}

static size_t utf8(char *to, unsigned c) {
  if (c < 0x80) return to[0] = (char)c, 1;
  if (c < 0x800) return to[0] = (char)(0xc0 | c >> 6), to[1] = (char)(0x80 | (c & 63)), 2;
  if (c < 0x10000) return to[0] = (char)(0xe0 | c >> 12), to[1] = (char)(0x80 | (c >> 6 & 63)), to[2] = (char)(0x80 | (c & 63)), 3;
  to[0] = (char)(0xf0 | c >> 18), to[1] = (char)(0x80 | (c >> 12 & 63)), to[2] = (char)(0x80 | (c >> 6 & 63)), to[3] = (char)(0x80 | (c & 63));
  return 4;
}

static void add_escape(reader *r, luaL_Buffer *b) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (r->at == r->end) bad(r, "string without end");
  char c = *r->at++;
  if (c == 'u') {
    luaL_addsize(b, utf8(luaL_prepbuffsize(b, 4), code_point(r)));
    return;
  }
  const char *known = c ? strchr(from, c) : NULL;
  if (!known) r->at--, bad(r, "unknown escape");
  luaL_addchar(b, to[known - from]);
}

static void decode_string(reader *r) {
  const char *from = ++r->at;
  while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20) r->at++;
  if (take(r, '"')) { /* nothing to change */
    lua_pushlstring(r->L, from, (size_t)(r->at - 1 - from));
    return;
  }
  luaL_Buffer b;
  luaL_buffinit(r->L, &b);
  for (;;) {
    luaL_addlstring(&b, from, (size_t)(r->at - from));
    if (r->at == r->end) bad(r, "string without end");
    if (take(r, '"')) break;
    if (!take(r, '\\')) bad(r, "control character in a string");
    add_escape(r, &b);
    from = r->at;
    while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20) r->at++;
  }
  luaL_pushresult(&b);
}

/* A value that is no array and no object. */
static void decode_plain(reader *r) {
  switch (*r->at) {
    case '"':
      decode_string(r);
      return;
    case 't':
      expect(r, "true");
      lua_pushboolean(r->L, 1);
      return;
    case 'f':
      expect(r, "false");
      lua_pushboolean(r->L, 0);
      return;
    case 'n':
      expect(r, "null");
      lua_pushlightuserdata(r->L, NULL);
      return;
  }
  decode_number(r);
}

static void decode_key(reader *r) {
  skip(r);
  if (r->at == r->end || *r->at != '"') bad(r, "key expected");
  decode_string(r);
  skip(r);
  if (!take(r, ':')) bad(r, "':' expected");
}

/* The one function that recurses: interpreted Wasm has few frames. */
static void decode(reader *r, int depth) {
  skip(r);
  if (r->at == r->end) bad(r, "value expected");
  bool array = *r->at == '[';
  if (!array && *r->at != '{') {
    decode_plain(r);
    return;
  }
  if (depth >= MAX_DEPTH) bad(r, "too many levels");
  luaL_checkstack(r->L, 6, "json");
  r->at++;
  lua_newtable(r->L);
  if (array) {
    lua_rawgetp(r->L, LUA_REGISTRYINDEX, &array_key);
    lua_setmetatable(r->L, -2);
  }
  skip(r);
  if (take(r, array ? ']' : '}')) return;
  for (lua_Integer i = 1;; i++) {
    if (!array) decode_key(r);
    decode(r, depth + 1);
    if (array) lua_rawseti(r->L, -2, i);
    else lua_rawset(r->L, -3);
    skip(r);
    if (take(r, array ? ']' : '}')) return;
    if (!take(r, ',')) bad(r, array ? "',' or ']' expected" : "',' or '}' expected");
  }
}

void json_decode(lua_State *L, text json) {
  reader r = {L, json.at, json.at, json.at + json.len};
  decode(&r, 0);
  skip(&r);
  if (r.at < r.end) bad(&r, "nothing more expected");
}

/* ---- The library ---- */

static int l_encode(lua_State *L) {
  luaL_checkany(L, 1);
  text t = json_encode(L, 1);
  lua_pushlstring(L, t.at, t.len);
  return 1;
}

static int l_decode(lua_State *L) {
  text t;
  t.at = luaL_checklstring(L, 1, &t.len);
  json_decode(L, t);
  return 1;
}

static int l_array(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
  lua_setmetatable(L, 1);
  return 1;
}

int json_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"encode", l_encode}, {"decode", l_decode}, {"array", l_array}, {NULL, NULL}};
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "array");
  lua_setfield(L, -2, "__name");
  array_meta = lua_topointer(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
  luaL_newlib(L, functions);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}
