/* starter: an agent that remembers notes and keeps secrets out. */
#include "../engram.h"

/* A JSON string without the blanks around it. */
static json trimmed(json s) {
  while (s.len > 2 && s.at[1] == ' ') s.at++, s.len--;
  while (s.len > 2 && s.at[s.len - 2] == ' ') s.len--;
  return json_make("\"%v\"", json_inner(s));
}

/* Remembers a text and links it to the memory that it resembles most. */
ENGRAM_ACTION(note) {
  json text = json_get(params, "text");
  if (!text.at) return engram_fail("text is missing");
  text = trimmed(text);
  if (json_is(text, "")) return engram_fail("text is empty");

  json found = engram_search(json_make("{\"query\":%v,\"limit\":1}", text));
  json made = engram_create(json_make("{\"content\":%v,\"kind\":%v}", text, engram_config("kind")));
  if (!found.at || !made.at) return (json){0, 0};
  json list = json_get(made, "engrams"), item, resembles = {0, 0};
  json_each(&list, &item);
  json id = json_get(item, "id");

  list = json_get(found, "hits");
  if (json_each(&list, &item) && !json_same(engram_read(item).id, id)) {
    resembles = engram_read(item).id;
    json linked = engram_link(json_make("{\"links\":[{\"from\":%v,\"to\":%v,\"relation\":\"resembles\",\"weight\":%f}]}", id, resembles, 0.5));
    if (!linked.at) return linked;
  }

  json globals = engram_globals();
  if (!globals.at) return globals;
  int notes = (int)json_number(json_get(globals, "notes")) + 1;
  if (!engram_set_globals(json_make("{\"notes\":%d}", notes)).at) return (json){0, 0};
  engram_log(ENGRAM_INFO, "note", json_make("%d", notes));

  if (!resembles.at) return json_make("{\"id\":%v,\"number\":%d}", id, notes);
  return json_make("{\"id\":%v,\"number\":%d,\"resembles\":%v}", id, notes, resembles);
}

/* A hook: it sees what is about to be remembered and may refuse it. */
ENGRAM_ACTION(check) {
  json word = engram_config("refuse");
  json list = json_get(json_get(params, "args"), "engrams");
  for (json e; json_each(&list, &e);)
    if (json_contains(json_get(e, "content"), word))
      return json_make("{\"refuse\":\"it holds the word %v\"}", json_inner(word));
  return json_make("{}");
}
