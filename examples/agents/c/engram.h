/* engram: the memory, for agents in C without a standard library. One file,
 * nothing to install:
 *
 *   #include "engram.h"
 *
 *   ENGRAM_ACTION(newest) {
 *     json hits = json_get(engram_search(json_make("{\"limit\":1,\"context\":%v}", json_get(params, "context"))), "hits"), hit;
 *     if (!json_each(&hits, &hit)) return engram_fail("there is none");
 *     return json_make("{\"content\":%v}", json_get(hit, "content"));
 *   }
 *
 * What an action writes takes effect when it returns JSON, all together, and
 * not at all when it fails. An action that returns nothing (the null json) fails
 * with the last error, that of the tool which was refused or of engram_fail; so
 * a tool's answer can be passed on unchecked. Between calls nothing stays but
 * the globals.
 *
 * Text that is made or fetched lies in a room of ENGRAM_ROOM bytes until the
 * action ends; define it before the include to have more. */
#ifndef ENGRAM_H
#define ENGRAM_H

#ifndef ENGRAM_ROOM
#define ENGRAM_ROOM (512 << 10)
#endif

typedef __SIZE_TYPE__ size_t;
typedef __INT32_TYPE__ i32;
typedef __INT64_TYPE__ i64;

/* ---- The host's functions: the agent ABI engram:agent/1 ---- */

#define ENGRAM_IMPORT(n) __attribute__((import_module("engram"), import_name(#n)))

ENGRAM_IMPORT(input_len) size_t engram_host_input_len(void);
ENGRAM_IMPORT(input_read) size_t engram_host_input_read(void *to, size_t room);
ENGRAM_IMPORT(output) void engram_host_output(const void *json, size_t len);
ENGRAM_IMPORT(call) i32 engram_host_call(const char *op, size_t op_len, const void *json, size_t len);
ENGRAM_IMPORT(result_read) size_t engram_host_result_read(void *to, size_t room);
ENGRAM_IMPORT(log) void engram_host_log(i32 level, const char *text, size_t len);
ENGRAM_IMPORT(config) i32 engram_host_config(const char *key, size_t len);
ENGRAM_IMPORT(emit) void engram_host_emit(const void *json, size_t len);
/* Milliseconds since 1970: now, and when the call will be stopped. */
ENGRAM_IMPORT(now_ms) i64 engram_now_ms(void);
ENGRAM_IMPORT(deadline_ms) i64 engram_deadline_ms(void);
/* Work that the call may still do, about one unit an instruction. */
ENGRAM_IMPORT(fuel_left) i64 engram_fuel_left(void);

/* ---- Reading JSON ---- */

/* A JSON value where it lies in a text. at is 0 if there is none. The host has
 * checked what it hands over, so reading does not. */
typedef struct { const char *at; size_t len; } json;

static inline size_t engram_length(const char *s) {
  size_t n = 0;
  while (s[n]) n++;
  return n;
}

static inline int engram_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* The value that begins in text. */
static inline json json_first(json text) {
  const char *p = text.at, *end = text.at + text.len;
  while (p < end && engram_blank(*p)) p++;
  const char *at = p;
  for (int depth = 0, quoted = 0; p < end; p++) {
    if (quoted) {
      if (*p == '\\') p++;
      else if (*p == '"' && (quoted = 0, depth == 0)) { p++; break; }
    } else if (*p == '"') quoted = 1;
    else if (*p == '{' || *p == '[') depth++;
    else if (*p == '}' || *p == ']') {
      if (depth == 0) break;
      if (--depth == 0) { p++; break; }
    } else if (depth == 0 && (*p == ',' || *p == ':' || engram_blank(*p))) break;
  }
  return p > at ? (json){at, p - at} : (json){0, 0};
}

/* Takes the first value off the inside of an object or list, or of what was
 * left of one. */
static inline json engram_take(json *rest) {
  const char *p = rest->at, *end = rest->at + rest->len;
  while (p < end && (engram_blank(*p) || *p == ',' || *p == ':')) p++;
  json v = json_first((json){p, end - p});
  if (v.at) p = v.at + v.len;
  *rest = (json){p, end - p};
  return v;
}

static inline json engram_inside(json v) {
  if (v.len < 2 || (*v.at != '{' && *v.at != '[')) return (json){0, 0};
  return (json){v.at + 1, v.len - 2};
}

/* Takes the next item off a list: for (json item; json_each(&list, &item);) */
static inline int json_each(json *list, json *item) {
  if (list->len && *list->at == '[') *list = engram_inside(*list);
  *item = engram_take(list);
  return item->at != 0;
}

/* Takes the next member off an object; the key is a JSON string. */
static inline int json_member(json *object, json *key, json *value) {
  if (object->len && *object->at == '{') *object = engram_inside(*object);
  *key = engram_take(object);
  *value = engram_take(object);
  return value->at != 0;
}

static inline int json_same(json a, json b) {
  if (a.len != b.len) return 0;
  for (size_t i = 0; i < a.len; i++) if (a.at[i] != b.at[i]) return 0;
  return 1;
}

/* Whether v is this string, which needs no escapes. */
static inline int json_is(json v, const char *text) {
  size_t n = engram_length(text);
  return v.len == n + 2 && *v.at == '"' && json_same((json){v.at + 1, n}, (json){text, n});
}

/* A JSON string without its quotes; what is escaped in it stays so. */
static inline json json_inner(json string) {
  return string.len < 2 ? (json){0, 0} : (json){string.at + 1, string.len - 2};
}

/* Whether one JSON string contains another one, both as they are written. */
static inline int json_contains(json text, json part) {
  text = json_inner(text), part = json_inner(part);
  for (size_t i = 0; part.at && i + part.len <= text.len; i++)
    if (json_same((json){text.at + i, part.len}, part)) return 1;
  return 0;
}

/* The value of a key, which needs no escapes. */
static inline json json_get(json object, const char *name) {
  for (json key, value; object.len && json_member(&object, &key, &value);)
    if (json_is(key, name)) return value;
  return (json){0, 0};
}

static inline double json_number(json v) {
  double n = 0, scale = 1;
  size_t i = 0;
  int minus = v.len && v.at[0] == '-', fraction = 0, exponent = 0, down = 0;
  for (i = minus; i < v.len && v.at[i] != 'e' && v.at[i] != 'E'; i++) {
    if (v.at[i] == '.') { fraction = 1; continue; }
    n = n * 10 + (v.at[i] - '0');
    if (fraction) scale *= 10;
  }
  for (i++; i < v.len; i++) {
    if (v.at[i] == '-') down = 1;
    else if (v.at[i] != '+' && exponent < 400) exponent = exponent * 10 + (v.at[i] - '0');
  }
  n /= scale;
  while (exponent-- > 0) n = down ? n / 10 : n * 10;
  return minus ? -n : n;
}

/* ---- Making JSON ---- */

static char engram_room[ENGRAM_ROOM];
static size_t engram_used;

static inline void engram_put(const char *text, size_t len) {
  if (len > sizeof engram_room - engram_used) {
    static const char full[] = "the room for text is full; define ENGRAM_ROOM larger";
    engram_host_log(3, full, sizeof full - 1);
    __builtin_trap();
  }
  for (size_t i = 0; i < len; i++) engram_room[engram_used++] = text[i];
}

static inline void engram_put_string(const char *s) {
  engram_put("\"", 1);
  for (; *s; s++) {
    unsigned char c = *s;
    if (c == '"' || c == '\\') engram_put("\\", 1);
    if (c >= ' ') { engram_put(s, 1); continue; }
    char escape[] = {'\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
    engram_put(escape, sizeof escape);
  }
  engram_put("\"", 1);
}

static inline void engram_put_number(i64 v) {
  char digits[20];
  size_t n = sizeof digits;
  unsigned long long left = v < 0 ? -(unsigned long long)v : (unsigned long long)v;
  do digits[--n] = '0' + left % 10; while (left /= 10);
  if (v < 0) digits[--n] = '-';
  engram_put(digits + n, sizeof digits - n);
}

/* Makes JSON of a text in which %s stands for a string that is quoted, %v for a
 * json (null if there is none), %d for an int and %f for a double with three
 * decimals. */
static inline json json_make(const char *format, ...) {
  __builtin_va_list args;
  __builtin_va_start(args, format);
  size_t from = engram_used;
  for (; *format; format++) {
    if (*format != '%') { engram_put(format, 1); continue; }
    switch (*++format) {
    case 's': engram_put_string(__builtin_va_arg(args, const char *)); break;
    case 'd': engram_put_number(__builtin_va_arg(args, int)); break;
    case 'f': {
      double v = __builtin_va_arg(args, double);
      i64 thousandths = (i64)(v * 1000 + (v < 0 ? -.5 : .5)), rest = thousandths % 1000;
      if (thousandths < 0) engram_put("-", 1), thousandths = -thousandths, rest = -rest;
      engram_put_number(thousandths / 1000);
      char decimals[] = {'.', '0' + rest / 100, '0' + rest / 10 % 10, '0' + rest % 10};
      engram_put(decimals, sizeof decimals);
      break;
    }
    case 'v': {
      json v = __builtin_va_arg(args, json);
      if (v.at) engram_put(v.at, v.len);
      else engram_put("null", 4);
      break;
    }
    default: engram_put(format, 1);
    }
  }
  __builtin_va_end(args);
  return (json){engram_room + from, engram_used - from};
}

static inline json json_truth(int v) { return v ? (json){"true", 4} : (json){"false", 5}; }

/* What is made piece by piece, one json_make after the other with nothing in
 * between, is one text: json_since returns all of it since the mark. */
static inline size_t json_mark(void) { return engram_used; }
static inline json json_since(size_t mark) { return (json){engram_room + mark, engram_used - mark}; }

/* ---- Errors ---- */

static json engram_error;

/* Why the last tool was refused: an object with code, message and hint. */
static inline json engram_last_error(void) { return engram_error; }

/* What an action returns to fail with this message. */
static inline json engram_fail(const char *message) {
  engram_error = json_make("{\"message\":%s}", message);
  return (json){0, 0};
}

/* ---- Tools ---- */

static inline json engram_fetch(size_t len) {
  size_t from = engram_used;
  if (len > sizeof engram_room - from) engram_put(0, len); /* says so, and ends */
  engram_host_result_read(engram_room + from, len);
  engram_used += len;
  return (json){engram_room + from, len};
}

/* Calls a tool by its name, one that the manifest grants. Returns its answer, or
 * nothing if it is refused; then engram_last_error says why. */
static inline json engram_call(const char *op, json args) {
  if (!args.at) return args; /* what would have made them was refused */
  i32 n = engram_host_call(op, engram_length(op), args.at, args.len);
  if (n >= 0) return engram_fetch(n);
  engram_error = engram_fetch(-n);
  return (json){0, 0};
}

/* The tools of the memory, with their arguments as JSON. */
static inline json engram_create(json args) { return engram_call("engram_create", args); }
static inline json engram_get(json args) { return engram_call("engram_get", args); }
static inline json engram_search(json args) { return engram_call("engram_search", args); }
static inline json engram_link(json args) { return engram_call("engram_link", args); }
static inline json engram_update(json args) { return engram_call("engram_update", args); }
static inline json engram_forget(json args) { return engram_call("engram_forget", args); }
static inline json engram_graph(json args) { return engram_call("engram_graph", args); }

/* What the agent remembers between calls, a JSON object of at most 64 KiB. */
static inline json engram_globals(void) { return engram_call("globals_get", json_make("{}")); }
static inline json engram_set_globals(json object) { return engram_call("globals_set", object); }

/* An engram as the memory gives it. Strings are still JSON: quoted, escaped. */
typedef struct {
  json id, content, kind, source, author, trust, tags, metadata, context, collections, valid_from, valid_to, created_at, links;
  double confidence, importance, score;
  i32 version;
} engram;

static inline engram engram_read(json v) {
  return (engram){
      .id = json_get(v, "id"), .content = json_get(v, "content"), .kind = json_get(v, "kind"), .source = json_get(v, "source"),
      .author = json_get(v, "author"), .trust = json_get(v, "trust"), .tags = json_get(v, "tags"), .metadata = json_get(v, "metadata"),
      .context = json_get(v, "context"), .collections = json_get(v, "collections"), .valid_from = json_get(v, "valid_from"),
      .valid_to = json_get(v, "valid_to"), .created_at = json_get(v, "created_at"), .links = json_get(v, "links"),
      .confidence = json_number(json_get(v, "confidence")), .importance = json_number(json_get(v, "importance")),
      .score = json_number(json_get(v, "score")), .version = (i32)json_number(json_get(v, "version")),
  };
}

/* ---- The rest ---- */

/* A value of the manifest's config; nothing without one. */
static inline json engram_config(const char *key) {
  i32 n = engram_host_config(key, engram_length(key));
  return n < 0 ? (json){0, 0} : engram_fetch(n);
}

enum { ENGRAM_DEBUG, ENGRAM_INFO, ENGRAM_WARN, ENGRAM_ERROR };

/* Writes a line to the agent's log: a text, and the JSON that belongs to it. */
static inline void engram_log(i32 level, const char *text, json detail) {
  size_t from = engram_used;
  engram_put(text, engram_length(text));
  if (detail.at) engram_put(" ", 1), engram_put(detail.at, detail.len);
  engram_host_log(level, engram_room + from, engram_used - from);
  engram_used = from;
}

/* Tells the caller how far the action is: {"progress": 3, "total": 10}. */
static inline void engram_emit(json progress) { engram_host_emit(progress.at, progress.len); }

/* What a hook answers. {} changes nothing. */
static inline json engram_go_on(json args) { return json_make("{\"args\":%v}", args); }
static inline json engram_refuse(const char *reason) { return json_make("{\"refuse\":%s}", reason); }
static inline json engram_give(json result) { return json_make("{\"result\":%v}", result); }

static inline i32 engram_run(json (*action)(json params)) {
  engram_used = 0;
  engram_error = json_make("{\"message\":\"the action returned nothing\"}");
  size_t len = engram_host_input_len(), from = engram_used;
  if (len > sizeof engram_room - from) engram_put(0, len);
  engram_host_input_read(engram_room + from, len);
  engram_used += len;
  json out = action(json_first((json){engram_room + from, len}));
  i32 code = out.at == 0;
  if (code) out = engram_error;
  engram_host_output(out.at, out.len);
  return code;
}

/* Defines an action, which takes params and returns JSON. */
#define ENGRAM_ACTION(name) \
  static json name(json params); \
  __attribute__((export_name("tool_" #name))) i32 engram_tool_##name(void) { return engram_run(name); } \
  static json name(json params)

#endif
