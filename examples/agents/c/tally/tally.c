/* tally: what the memory holds about something, counted by a field.
 *
 * by: {"query": "tea", "by": "source"} -> {"hits": 12, "by": {"anna": 9, "ben": 3}, "other": 0}
 *
 * The parameters go to engram_search as they are, without "by"; the counting
 * is done here, so that a model reads two lines instead of a page. */
#include "../engram.h"

enum { GROUPS = 64 };

typedef struct { json name; int count; } group;

/* The query is the parameters without "by". */
static json query(json params) {
  size_t mark = json_mark();
  json_make("{");
  int first = 1;
  for (json key, value; json_member(&params, &key, &value);) {
    if (json_is(key, "by")) continue;
    json_make(first ? "%v:%v" : ",%v:%v", key, value);
    first = 0;
  }
  json_make("}");
  return json_since(mark);
}

/* The value of a member whose name is a JSON string. */
static json member(json object, json name) {
  for (json key, value; json_member(&object, &key, &value);)
    if (json_same(key, name)) return value;
  return (json){0, 0};
}

ENGRAM_ACTION(by) {
  json name = json_get(params, "by");
  if (!name.at) name = (json){"\"kind\"", 6};
  if (*name.at != '"') return engram_fail("by must be the name of a field");

  json answer = engram_search(query(params));
  if (!answer.at) return answer;

  static group groups[GROUPS];
  int hits = 0, found = 0, other = 0;
  json list = json_get(answer, "hits");
  for (json hit; json_each(&list, &hit);) {
    hits++;
    json v = member(hit, name);
    if (!v.at || *v.at != '"') { other++; continue; }
    int i = 0;
    while (i < found && !json_same(groups[i].name, v)) i++;
    if (i == GROUPS) { other++; continue; }
    if (i == found) groups[found++].name = v;
    groups[i].count++;
  }

  size_t mark = json_mark();
  json_make("{\"hits\":%d,\"by\":{", hits);
  for (int i = 0; i < found; i++) json_make(i ? ",%v:%d" : "%v:%d", groups[i].name, groups[i].count);
  json_make("},\"other\":%d}", other);
  return json_since(mark);
}
