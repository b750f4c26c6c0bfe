/* The agent ABI engram:agent/1, and reading JSON in place, for the guests of
 * the tests.
 *
 * A guest exports execute(), or tool_<action>() for each action, which return
 * 0 for success. The host hands over text in two steps, first its length, then
 * a copy into memory that the guest names: nothing ever calls back into it. */
#ifndef ABI_H
#define ABI_H

typedef __SIZE_TYPE__ size_t;
typedef __INT32_TYPE__ i32;
typedef __INT64_TYPE__ i64;

#define ENGRAM_IMPORT(n) __attribute__((import_module("engram"), import_name(#n)))
#define ENGRAM_EXPORT(n) __attribute__((export_name(#n)))

ENGRAM_IMPORT(input_len) size_t engram_input_len(void);
ENGRAM_IMPORT(input_read) size_t engram_input_read(void *to, size_t room);
ENGRAM_IMPORT(output) void engram_output(const void *json, size_t len);
/* A tool by its name: the length of the result, or minus that of an error. */
ENGRAM_IMPORT(call) i32 engram_call(const char *op, size_t op_len, const void *json, size_t len);
ENGRAM_IMPORT(result_read) size_t engram_result_read(void *to, size_t room);
/* Level 0 debug, 1 info, 2 warn, 3 error. */
ENGRAM_IMPORT(log) void engram_log(i32 level, const char *text, size_t len);
ENGRAM_IMPORT(now_ms) i64 engram_now_ms(void);
/* The length of a config value, -1 without one; engram_result_read copies it. */
ENGRAM_IMPORT(config) i32 engram_config(const char *key, size_t len);
ENGRAM_IMPORT(emit) void engram_emit(const void *json, size_t len);
ENGRAM_IMPORT(deadline_ms) i64 engram_deadline_ms(void);
ENGRAM_IMPORT(fuel_left) i64 engram_fuel_left(void);

/* A piece of text. */
typedef struct { const char *at, *end; } span;
#define TEXT(s) (span){s, &(s)[sizeof(s) - 1]}

static const char *blank(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
  return p;
}

/* The JSON value at p. */
static span value(const char *p, const char *end) {
  span v = {blank(p, end), 0};
  int depth = 0, quoted = 0;
  for (p = v.at; p < end; p++) {
    if (quoted) {
      if (*p == '\\') p++;
      else if (*p == '"' && (quoted = 0, depth == 0)) { p++; break; }
    } else if (*p == '"') quoted = 1;
    else if (*p == '{' || *p == '[') depth++;
    else if (*p == '}' || *p == ']') {
      if (depth == 0) break;
      if (--depth == 0) { p++; break; }
    } else if (depth == 0 && (*p == ',' || *p == ':')) break;
  }
  v.end = p;
  return v;
}

static int same(span a, span b) {
  if (a.end - a.at != b.end - b.at) return 0;
  while (a.at < a.end) if (*a.at++ != *b.at++) return 0;
  return 1;
}

/* One step through an object or list: the next value, and its key if it has
 * one. Returns where the step after it begins, or 0 at the end. */
static const char *next(const char *p, const char *end, int keyed, span *key, span *val) {
  p = blank(p, end);
  if (p < end && *p == ',') p = blank(p + 1, end);
  if (p >= end || *p == '}' || *p == ']') return 0;
  if (keyed) {
    *key = value(p, end);
    p = blank(key->end, end);
    if (p < end) p++; /* the colon */
  }
  *val = value(p, end);
  return val->end;
}

/* The value of a key, given with its quotes; at is 0 without one. */
static span field(span object, span name) {
  span key, val, none = {0, 0};
  if (object.at >= object.end || *object.at != '{') return none;
  for (const char *p = object.at + 1; (p = next(p, object.end, 1, &key, &val));)
    if (same(key, name)) return val;
  return none;
}

#endif
