// lines: stores a text line by line, so that each line can be found by itself.
//
// store: {"text": "one\ntwo\n\nthree", "source": "list.txt"}
//   -> {"ids": ["…", "…", "…"]}

import { act, create, fail, Json, object, strings } from "../engram";

export function tool_store(): i32 { return act(store); }

function store(params: Json): Json | null {
  const lines = params.get("text").text.split("\n"), source = params.get("source").text;
  const engrams: Json[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (lines[i] != "") engrams.push(object().set("content", lines[i]).some("source", source));
  }
  if (engrams.length == 0) return fail("text has no line with anything in it");
  const ids = create(engrams);
  return ids === null ? null : object().put("ids", strings(ids));
}
