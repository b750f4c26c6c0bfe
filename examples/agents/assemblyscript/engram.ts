// engram: the memory, for agents in AssemblyScript. One file, nothing to install:
//
//   import { act, fail, Json, object, Query, search } from "./engram";
//
//   export function tool_newest(): i32 { return act(newest); }
//
//   function newest(params: Json): Json | null {
//     const q = new Query();
//     q.limit = 1;
//     const hits = search(q);
//     if (hits === null) return null;
//     return hits.length > 0 ? object().set("content", hits[0].content) : fail("there is none");
//   }
//
// What an action writes takes effect when it returns JSON, all together, and
// not at all when it returns null: then it fails with lastError, that of the
// tool which was refused or of fail(). Between calls nothing stays but globals.

// ---- The host's functions: the agent ABI engram:agent/1 ----

@external("engram", "input_len") declare function host_input_len(): u32;
@external("engram", "input_read") declare function host_input_read(to: usize, room: u32): u32;
@external("engram", "output") declare function host_output(at: usize, len: u32): void;
@external("engram", "call") declare function host_call(op: usize, opLen: u32, json: usize, len: u32): i32;
@external("engram", "result_read") declare function host_result_read(to: usize, room: u32): u32;
@external("engram", "log") declare function host_log(level: i32, at: usize, len: u32): void;
@external("engram", "config") declare function host_config(key: usize, len: u32): i32;
@external("engram", "emit") declare function host_emit(at: usize, len: u32): void;
@external("engram", "now_ms") declare function host_now(): i64;
@external("engram", "deadline_ms") declare function host_deadline(): i64;
@external("engram", "fuel_left") declare function host_fuel(): i64;

/** Why a tool was refused, or the action failed. */
export class Failure {
  constructor(
    /** One word of the host's, such as denied or not_found; empty if the error is the agent's own. */
    public code: string,
    public message: string,
    public hint: string = "",
  ) {}
}

/** What the action fails with if it returns null. */
export let lastError: Failure = new Failure("", "the action returned nothing");

/** What an action returns to fail with this message. */
export function fail(message: string): Json | null {
  lastError = new Failure("", message);
  return null;
}

/** Runs an action on the input of this call. The exported function of an action returns what act returns. */
export function act(action: (params: Json) => Json | null): i32 {
  const b = new ArrayBuffer(host_input_len());
  host_input_read(changetype<usize>(b), b.byteLength);
  const out = action(parse(String.UTF8.decode(b)));
  if (out !== null) {
    output(out);
    return 0;
  }
  const hint = lastError.hint == "" ? "" : " (" + lastError.hint + ")";
  output(object().set("message", lastError.message + hint));
  return 1;
}

function output(json: Json): void {
  const b = String.UTF8.encode(json.toString());
  host_output(changetype<usize>(b), b.byteLength);
}

function fetch(len: i32): Json {
  const b = new ArrayBuffer(len);
  host_result_read(changetype<usize>(b), b.byteLength);
  return parse(String.UTF8.decode(b));
}

/** Calls a tool by its name, one that the manifest grants; null if it is refused, and lastError says why. */
export function call(op: string, args: Json): Json | null {
  const o = String.UTF8.encode(op), i = String.UTF8.encode(args.toString());
  const n = host_call(changetype<usize>(o), o.byteLength, changetype<usize>(i), i.byteLength);
  if (n >= 0) return fetch(n);
  const e = fetch(-n);
  lastError = new Failure(e.get("code").text, e.get("message").text, e.get("hint").text);
  return null;
}

/** Writes a line to the agent's log. */
export function log(level: Level, text: string): void {
  const b = String.UTF8.encode(text);
  host_log(level, changetype<usize>(b), b.byteLength);
}

export enum Level { Debug, Info, Warn, Error }

/** Tells the caller how far the action is. */
export function progress(done: f64, total: f64, message: string = ""): void {
  const b = String.UTF8.encode(object().put("progress", num(done)).put("total", num(total)).set("message", message).toString());
  host_emit(changetype<usize>(b), b.byteLength);
}

/** The value of a key of the manifest's config; JSON null without one. */
export function config(key: string): Json {
  const k = String.UTF8.encode(key);
  const n = host_config(changetype<usize>(k), k.byteLength);
  return n < 0 ? NULL : fetch(n);
}

/** What the agent remembers between calls: a JSON object of at most 64 KiB. */
export function globals(): Json | null { return call("globals_get", object()); }

/** Replaces globals, if the action succeeds. */
export function setGlobals(value: Json): bool { return call("globals_set", value) !== null; }

/** Milliseconds since 1970. */
export function now(): i64 { return host_now(); }

/** When the call will be stopped, on the clock of now. */
export function deadline(): i64 { return host_deadline(); }

/** Work that the call may still do, about one unit an instruction. */
export function fuelLeft(): i64 { return host_fuel(); }

// ---- The memory's tools ----

/** An engram as the memory gives it. Text that it does not have is empty; times are RFC 3339 in UTC. */
export class Engram {
  id: string = "";
  content: string = "";
  kind: string = "";
  source: string = "";
  author: string = "";
  trust: string = "";
  confidence: f64 = 0;
  importance: f64 = 0;
  tags: string[] = [];
  metadata: Json = NULL;
  context: string = "";
  collections: string[] = [];
  validFrom: string = "";
  validTo: string = "";
  createdAt: string = "";
  version: i32 = 0;
  /** Of a hit of search. */
  score: f64 = 0;
  /** Those that get was asked for. */
  links: Link[] = [];

  /** Reads an engram or a hit from a tool's answer. */
  static from(json: Json): Engram {
    const e = new Engram();
    e.id = json.get("id").text;
    e.content = json.get("content").text;
    e.kind = json.get("kind").text;
    e.source = json.get("source").text;
    e.author = json.get("author").text;
    e.trust = json.get("trust").text;
    e.confidence = json.get("confidence").number;
    e.importance = json.get("importance").number;
    e.tags = json.get("tags").texts;
    e.metadata = json.get("metadata");
    e.context = json.get("context").text;
    e.collections = json.get("collections").texts;
    e.validFrom = json.get("valid_from").text;
    e.validTo = json.get("valid_to").text;
    e.createdAt = json.get("created_at").text;
    e.version = i32(json.get("version").number);
    e.score = json.get("score").number;
    e.links = links(json.get("links"));
    return e;
  }
}

/** A typed, weighted edge. */
export class Link {
  constructor(public from: string, public to: string, public relation: string, public weight: f64 = 1) {}
}

function links(json: Json): Link[] {
  const out: Link[] = [];
  for (let i = 0; i < json.items.length; i++) {
    const l = json.items[i];
    out.push(new Link(l.get("from").text, l.get("to").text, l.get("relation").text, l.get("weight").number));
  }
  return out;
}

function engrams(json: Json): Engram[] {
  const out: Engram[] = [];
  for (let i = 0; i < json.items.length; i++) out.push(Engram.from(json.items[i]));
  return out;
}

/** Creates engrams, all or none: objects with the arguments of engram_create. Their ids, in the same order. */
export function create(list: Json[]): string[] | null {
  const answer = call("engram_create", object().put("engrams", items(list)));
  if (answer === null) return null;
  const ids: string[] = [], made = answer.get("engrams").items;
  for (let i = 0; i < made.length; i++) ids.push(made[i].get("id").text);
  return ids;
}

/** The engrams with these ids, in full, those that there are. */
export function get(ids: string[]): Engram[] | null {
  const answer = call("engram_get", object().put("ids", strings(ids)).put("include_links", flag(true)));
  return answer === null ? null : engrams(answer.get("engrams"));
}

/** The arguments of a search. What is empty or 0 does not narrow it. */
export class Query {
  /** Words or a question; the newest come first without it. */
  query: string = "";
  /** At most 200; 0 stands for 10. */
  limit: i32 = 0;
  context: string = "";
  collections: string[] = [];
  tags: string[] = [];
  kind: string = "";
  source: string = "";
  after: string = "";
  before: string = "";
  /** hybrid, text or vector. */
  mode: string = "";
}

/** Finds engrams, best first. */
export function search(q: Query): Engram[] | null {
  const args = object().some("query", q.query).some("context", q.context).some("kind", q.kind).some("source", q.source)
    .some("after", q.after).some("before", q.before).some("mode", q.mode);
  if (q.limit > 0) args.put("limit", num(q.limit));
  if (q.collections.length > 0) args.put("collections", strings(q.collections));
  if (q.tags.length > 0) args.put("tags", strings(q.tags));
  const answer = call("engram_search", args);
  return answer === null ? null : engrams(answer.get("hits"));
}

/** Sets links. The same ends and relation again change a link. */
export function link(list: Link[]): bool {
  const out: Json[] = [];
  for (let i = 0; i < list.length; i++) {
    const l = list[i];
    out.push(object().set("from", l.from).set("to", l.to).set("relation", l.relation).put("weight", num(l.weight)));
  }
  return call("engram_link", object().put("links", items(out))) !== null;
}

/** Changes fields of an engram: an object with the arguments of engram_update but the id. */
export function update(id: string, fields: Json): Engram | null {
  const answer = call("engram_update", fields.set("id", id));
  return answer === null ? null : Engram.from(answer.get("engram"));
}

/** Hides engrams; engram_restore brings them back. */
export function forget(ids: string[]): bool {
  return call("engram_forget", object().put("ids", strings(ids))) !== null;
}

/** The engrams and links around a start. */
export class Graph {
  constructor(public engrams: Engram[], public links: Link[]) {}
}

/** What lies within so many steps of the start. */
export function graph(start: string, depth: i32): Graph | null {
  const answer = call("engram_graph", object().set("start", start).set("mode", "subgraph").put("depth", num(depth)));
  return answer === null ? null : new Graph(engrams(answer.get("engrams")), links(answer.get("links")));
}

// ---- Hooks: params are {tool, args} and, after the tool, {result} ----

/** What a hook before a tool answers: the arguments to go on with. */
export function goOn(args: Json): Json { return object().put("args", args); }

/** What a hook before a tool answers to stop the call, with the reason. */
export function refuse(reason: string): Json { return object().set("refuse", reason); }

/** What a hook after a tool answers: the result to give the caller. */
export function give(result: Json): Json { return object().put("result", result); }

// ---- JSON ----

export enum Kind { Null, Bool, Number, Text, List, Object }

/** A JSON value. Numbers keep their text and objects their order. */
export class Json {
  /** The string; of a number, true and false what was written; else empty. */
  text: string = "";
  /** Items of a list, values of an object. */
  items: Json[] = [];
  /** Keys of an object. */
  keys: string[] = [];

  constructor(public kind: Kind) {}

  /** A member of an object; JSON null if there is none. */
  get(key: string): Json {
    const i = this.keys.indexOf(key);
    return i < 0 ? NULL : this.items[i];
  }

  /** Sets a member and returns the object. */
  put(key: string, value: Json): Json {
    const i = this.keys.indexOf(key);
    if (i >= 0) {
      this.items[i] = value;
    } else {
      this.keys.push(key);
      this.items.push(value);
    }
    return this;
  }

  /** Sets a member to a string. */
  set(key: string, value: string): Json { return this.put(key, str(value)); }

  /** Sets a member to a string unless that is empty. */
  some(key: string, value: string): Json { return value == "" ? this : this.set(key, value); }

  get isNull(): bool { return this.kind == Kind.Null; }
  get isTrue(): bool { return this.kind == Kind.Bool && this.text == "true"; }
  get number(): f64 { return this.kind == Kind.Number ? F64.parseFloat(this.text) : 0; }

  /** The strings of a list. */
  get texts(): string[] {
    const out: string[] = [];
    for (let i = 0; i < this.items.length; i++) out.push(this.items[i].text);
    return out;
  }

  toString(): string {
    switch (this.kind) {
      case Kind.Null: return "null";
      case Kind.Text: return quote(this.text);
      case Kind.List: case Kind.Object: {
        const parts: string[] = [];
        for (let i = 0; i < this.items.length; i++) {
          const value = this.items[i].toString();
          parts.push(this.kind == Kind.List ? value : quote(this.keys[i]) + ":" + value);
        }
        const inside = parts.join(",");
        return this.kind == Kind.List ? "[" + inside + "]" : "{" + inside + "}";
      }
    }
    return this.text;
  }
}

const NULL = new Json(Kind.Null);

export function object(): Json { return new Json(Kind.Object); }

export function str(text: string): Json {
  const j = new Json(Kind.Text);
  j.text = text;
  return j;
}

export function num(value: f64): Json {
  const j = new Json(Kind.Number);
  j.text = value == Math.trunc(value) && Math.abs(value) < 9e15 ? i64(value).toString() : value.toString();
  return j;
}

export function flag(value: bool): Json {
  const j = new Json(Kind.Bool);
  j.text = value ? "true" : "false";
  return j;
}

export function items(list: Json[]): Json {
  const j = new Json(Kind.List);
  j.items = list;
  return j;
}

export function strings(list: string[]): Json {
  const out: Json[] = [];
  for (let i = 0; i < list.length; i++) out.push(str(list[i]));
  return items(out);
}

function quote(text: string): string {
  let out = '"', from = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x20 && c != 0x22 && c != 0x5c) continue;
    out += text.substring(from, i);
    from = i + 1;
    if (c == 0x22) out += '\\"';
    else if (c == 0x5c) out += "\\\\";
    else if (c == 0x0a) out += "\\n";
    else out += "\\u00" + (c < 16 ? "0" : "") + c.toString(16);
  }
  return out + text.substring(from) + '"';
}

/** Reads JSON that the host has checked. */
export function parse(text: string): Json { return new Parser(text).value(); }

class Parser {
  at: i32 = 0;

  constructor(public text: string) {}

  /** The next character that is not blank or a separator, not taken. */
  peek(): i32 {
    for (; this.at < this.text.length; this.at++) {
      const c = this.text.charCodeAt(this.at);
      if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09 && c != 0x2c && c != 0x3a) return c;
    }
    return 0;
  }

  value(): Json {
    const c = this.peek();
    if (c == 0x22) return str(this.string());
    if (c != 0x7b && c != 0x5b) return this.word();
    const j = new Json(c == 0x7b ? Kind.Object : Kind.List), end = c + 2; // } and ]
    this.at++;
    for (let c = this.peek(); c != 0 && c != end; c = this.peek()) {
      if (j.kind == Kind.Object) {
        j.keys.push(this.string());
      }
      j.items.push(this.value());
    }
    this.at++;
    return j;
  }

  word(): Json {
    const from = this.at;
    for (; this.at < this.text.length; this.at++) {
      const c = this.text.charCodeAt(this.at);
      if (c <= 0x20 || c == 0x2c || c == 0x5d || c == 0x7d) break;
    }
    const text = this.text.substring(from, this.at);
    if (text == "null" || text == "") return NULL;
    const j = new Json(text == "true" || text == "false" ? Kind.Bool : Kind.Number);
    j.text = text;
    return j;
  }

  string(): string {
    this.peek();
    let out = "", from = ++this.at;
    for (; this.at < this.text.length; this.at++) {
      const c = this.text.charCodeAt(this.at);
      if (c == 0x22) break;
      if (c != 0x5c) continue;
      out += this.text.substring(from, this.at);
      const e = this.text.charCodeAt(++this.at);
      switch (e) {
        case 0x62: out += "\b"; break;
        case 0x66: out += "\f"; break;
        case 0x6e: out += "\n"; break;
        case 0x72: out += "\r"; break;
        case 0x74: out += "\t"; break;
        case 0x75:
          out += String.fromCharCode(u16(parseInt(this.text.substring(this.at + 1, this.at + 5), 16)));
          this.at += 4;
          break;
        default: out += String.fromCharCode(e);
      }
      from = this.at + 1;
    }
    out += this.text.substring(from, this.at++);
    return out;
  }
}
