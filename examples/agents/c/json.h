/* Reading JSON in place: enough for the parameters and results of tools, which
 * the host has checked to be valid. */
#ifndef ENGRAM_JSON_H
#define ENGRAM_JSON_H

#include "engram.h"

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
