/* tally: what the memory holds about something, counted by a field.
 *
 * by: {"query": "tea", "by": "source"} -> {"hits": 12, "by": {"anna": 9, "ben": 3}}
 *
 * The parameters go to engram_search as they are, without "by"; the counting
 * is done here, so that a model reads two lines instead of a page. */
#include "../json.h"

enum { ROOM = 256 << 10, GROUPS = 64 };

static char text[ROOM], out[32 << 10];
static size_t used;

typedef struct { span name; unsigned count; } group;

static void put(const char *s, size_t n) {
  for (size_t i = 0; i < n && used < sizeof out; i++) out[used++] = s[i];
}
#define PUT(s) put(s, sizeof(s) - 1)

static void put_number(unsigned v) {
  char d[10];
  size_t n = sizeof d;
  do d[--n] = '0' + v % 10; while (v /= 10);
  put(d + n, sizeof d - n);
}

static i32 fail(const char *message, size_t n) {
  engram_output(message, n);
  return 1;
}
#define FAIL(s) fail(s, sizeof(s) - 1)

ENGRAM_EXPORT(tool_by) i32 tool_by(void) {
  size_t n = engram_input_len();
  if (n > sizeof text) return FAIL("{\"message\":\"the parameters are too long\"}");
  engram_input_read(text, n);
  span params = value(text, text + n), by = field(params, TEXT("\"by\""));
  static char by_name[256];
  span name = TEXT("\"kind\"");
  if (by.at) {
    size_t len = by.end - by.at;
    if (*by.at != '"' || len > sizeof by_name) return FAIL("{\"message\":\"by must be the name of a field\"}");
    for (size_t i = 0; i < len; i++) by_name[i] = by.at[i];
    name = (span){by_name, by_name + len};
  }

  /* The query is the parameters without "by". */
  PUT("{");
  span key, val;
  for (const char *p = params.at + 1; (p = next(p, params.end, 1, &key, &val));) {
    if (same(key, TEXT("\"by\""))) continue;
    if (used > 1) PUT(",");
    put(key.at, key.end - key.at);
    PUT(":");
    put(val.at, val.end - val.at);
  }
  PUT("}");
  i32 len = engram_call("engram_search", 13, out, used);
  if (len < 0 || (size_t)len > sizeof text) {
    n = engram_result_read(text, sizeof text);
    return len < 0 ? fail(text, n) : FAIL("{\"message\":\"the result is too long; ask with a lower limit\"}");
  }
  engram_result_read(text, len);

  static group groups[GROUPS];
  unsigned hits = 0, found = 0, other = 0;
  span list = field(value(text, text + len), TEXT("\"hits\""));
  if (list.at) for (const char *p = list.at + 1; (p = next(p, list.end, 0, &key, &val));) {
    hits++;
    span v = field(val, name);
    if (!v.at || *v.at != '"') { other++; continue; }
    unsigned i = 0;
    while (i < found && !same(groups[i].name, v)) i++;
    if (i == GROUPS) { other++; continue; }
    if (i == found) groups[found++].name = v;
    groups[i].count++;
  }

  used = 0;
  PUT("{\"hits\":");
  put_number(hits);
  PUT(",\"by\":{");
  for (unsigned i = 0; i < found; i++) {
    if (i) PUT(",");
    put(groups[i].name.at, groups[i].name.end - groups[i].name.at);
    PUT(":");
    put_number(groups[i].count);
  }
  PUT("},\"other\":");
  put_number(other);
  PUT("}");
  if (used == sizeof out) return FAIL("{\"message\":\"the names are too long to list\"}");
  engram_output(out, used);
  return 0;
}
