// lines: stores a text line by line, so that each line can be found by itself.
//
// store: {"text": "one\ntwo\n\nthree", "source": "list.txt"}
//   -> what engram_create gives for the three engrams

import { call, input, output, refused } from "../engram";

/** Where the JSON string that begins at a quote ends, after its last quote. */
function endOfString(json: string, at: i32): i32 {
  for (let i = at + 1; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (c == 0x5c) i++; // an escape
    else if (c == 0x22) return i + 1;
  }
  return json.length;
}

/** The string value of a key in an object of strings, still quoted. */
function value(json: string, key: string): string {
  let name = "";
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (c != 0x22) continue;
    const end = endOfString(json, i);
    const text = json.substring(i, end);
    i = end - 1;
    if (name == "") {
      name = text;
    } else {
      if (name == key) return text;
      name = "";
    }
  }
  return "";
}

/** Splits a quoted JSON string at its \n escapes; the parts stay escaped. */
function split(quoted: string): string[] {
  const parts: string[] = [];
  let from = 1;
  for (let i = 1; i < quoted.length; i++) {
    const last = i == quoted.length - 1;
    const escape = quoted.charCodeAt(i) == 0x5c;
    if (last || (escape && quoted.charCodeAt(i + 1) == 0x6e)) {
      if (i > from) parts.push(quoted.substring(from, i));
      from = i + 2;
    }
    if (escape) i++;
  }
  return parts;
}

export function tool_store(): i32 {
  const params = input();
  const text = value(params, '"text"'), source = value(params, '"source"');
  const parts = split(text);
  if (parts.length == 0) {
    output('{"message":"text has no line with anything in it"}');
    return 1;
  }
  let engrams = "";
  for (let i = 0; i < parts.length; i++) {
    engrams += (i > 0 ? "," : "") + '{"content":"' + parts[i] + '"' + (source != "" ? ',"source":' + source : "") + "}";
  }
  const result = call("engram_create", '{"engrams":[' + engrams + "]}");
  output(result);
  return refused ? 1 : 0;
}
