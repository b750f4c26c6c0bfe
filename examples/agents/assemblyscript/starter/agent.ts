// starter: an agent that remembers notes and keeps secrets out.

import { act, config, create, fail, globals, Json, Level, link, Link, log, num, object, Query, refuse, search, setGlobals } from "../engram";

export function tool_note(): i32 { return act(note); }
export function tool_check(): i32 { return act(check); }

/** Remembers a text and links it to the memory that it resembles most. */
function note(params: Json): Json | null {
  const text = params.get("text").text.trim();
  if (text == "") return fail("text is empty");
  const q = new Query();
  q.query = text;
  q.limit = 1;
  const hits = search(q);
  if (hits === null) return null;
  const made = create([object().set("content", text).some("kind", config("kind").text)]);
  if (made === null) return null;
  const out = object().set("id", made[0]);
  if (hits.length > 0 && hits[0].id != made[0]) {
    if (!link([new Link(made[0], hits[0].id, "resembles", 0.5)])) return null;
    out.set("resembles", hits[0].id);
  }
  const g = globals();
  if (g === null) return null;
  const number = num(g.get("notes").number + 1);
  if (!setGlobals(object().put("notes", number))) return null;
  log(Level.Info, "note " + number.text);
  return out.put("number", number);
}

/** A hook: it sees what is about to be remembered and may refuse it. */
function check(params: Json): Json | null {
  const word = config("refuse").text, engrams = params.get("args").get("engrams").items;
  for (let i = 0; i < engrams.length; i++) {
    if (engrams[i].get("content").text.includes(word)) return refuse("it holds the word " + word);
  }
  return object();
}
