#include "engram.h"

static int length(json list) {
  int n = 0;
  for (json item; json_each(&list, &item);) n++;
  return n;
}

static json one(json list) {
  json item;
  json_each(&list, &item);
  return item;
}

ENGRAM_ACTION(tour) {
  (void)params;
  json hit = one(json_get(engram_search(json_make("{\"query\":%s,\"limit\":1,\"tags\":[%s]}", "tea", "drink")), "hits"));
  json made = engram_create(json_make("{\"content\":%s,\"kind\":%s,\"confidence\":%f,\"tags\":[\"drink\",\"hot\"],\"metadata\":{\"page\":%d},\"context\":\"kitchen\"}",
      "Ben prefers \"coffee\"\n", "preference", 0.75, 12));
  json id = json_get(one(json_get(made, "engrams")), "id");
  engram found = engram_read(hit);
  json linked = engram_link(json_make("{\"links\":[{\"from\":%v,\"to\":%v,\"relation\":\"unlike\",\"weight\":%f}]}", id, found.id, 0.25));
  json got = engram_get(json_make("{\"ids\":[%v],\"include_links\":true}", id));
  json changed = engram_update(json_make("{\"id\":%v,\"content\":%s}", id, "Ben prefers water"));
  json around = engram_graph(json_make("{\"start\":%v,\"mode\":\"subgraph\",\"depth\":1}", found.id));
  json gone = engram_forget(json_make("{\"ids\":[%v]}", id));
  json left = engram_get(json_make("{\"ids\":[%v]}", id));
  if (!linked.at || !got.at || !changed.at || !around.at || !gone.at || !left.at) return (json){0, 0};
  if (!engram_set_globals(json_make("{\"n\":%d}", 7)).at) return (json){0, 0};
  for (i32 level = ENGRAM_DEBUG; level <= ENGRAM_ERROR; level++) engram_log(level, "level", json_make("%d", level));
  engram_emit(json_make("{\"progress\":%d,\"total\":%d}", 1, 2));

  engram e = engram_read(one(json_get(got, "engrams"))), after = engram_read(json_get(changed, "engram"));
  json link = one(e.links);
  size_t mark = json_mark();
  json_make("{\"found\":%v,\"scored\":%v,\"content\":%v,\"tags\":%v,\"confidence\":%f,", found.content, json_truth(found.score > 0), e.content, e.tags, e.confidence);
  json_make("\"kind\":%v,\"context\":%v,\"page\":%v,", e.kind, e.context, json_get(e.metadata, "page"));
  json_make("\"relation\":%v,\"weight\":%v,", json_get(link, "relation"), json_get(link, "weight"));
  json_make("\"around\":%d,\"edges\":%d,", length(json_get(around, "engrams")) + 1, length(json_get(around, "links")) + 1);
  json_make("\"version\":%d,\"changed\":%v,\"left\":%d,", after.version, after.content, length(json_get(left, "engrams")));
  json rest = json_since(mark);
  json globals = json_get(engram_globals(), "n"), word = engram_config("word"), deep = json_get(engram_config("deep"), "n");
  return json_make("%v\"globals\":%v,\"word\":%v,\"deep\":%v,\"nothing\":%v,\"time\":%v,\"fuel\":%v}", rest, globals, word, deep,
      json_truth(!engram_config("none").at), json_truth(engram_deadline_ms() > engram_now_ms()), json_truth(engram_fuel_left() > 0));
}

ENGRAM_ACTION(denied) {
  (void)params;
  json answer = engram_call("engram_history", json_make("{\"id\":\"x\"}"));
  if (answer.at) return engram_fail("it was not refused");
  json e = engram_last_error();
  return json_make("{\"code\":%v,\"message\":%v}", json_get(e, "code"), json_get(e, "message"));
}

ENGRAM_ACTION(text) {
  return json_make("{\"text\":%v,\"number\":%f}", json_get(params, "text"), json_number(json_get(params, "number")));
}

ENGRAM_ACTION(fails) {
  (void)params;
  return engram_fail("no \"such\" thing");
}

ENGRAM_ACTION(hook) {
  json result = json_get(params, "result");
  if (result.at) return engram_give(result);
  if (json_is(json_get(params, "tool"), "engram_update")) return engram_refuse("no");
  return engram_go_on(json_get(params, "args"));
}
