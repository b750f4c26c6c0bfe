import {
  act, call, config, create, deadline, Engram, fail, flag, forget, fuelLeft, get, give, globals, goOn, graph, Json, lastError, Level, link, Link, log, now, num,
  object, progress, Query, refuse, search, setGlobals, str, strings, update,
} from "./engram";

export function tool_tour(): i32 { return act(tour); }
export function tool_denied(): i32 { return act(denied); }
export function tool_text(): i32 { return act(text); }
export function tool_fails(): i32 { return act(fails); }
export function tool_hook(): i32 { return act(hook); }

function tour(params: Json): Json | null {
  const q = new Query();
  q.query = "tea";
  q.limit = 1;
  q.tags = ["drink"];
  const hits = search(q);
  if (hits === null) return null;
  const made = create([object().set("content", "Ben prefers \"coffee\"\n").set("kind", "preference").put("confidence", num(0.75))
    .put("tags", strings(["drink", "hot"])).put("metadata", object().put("page", num(12))).set("context", "kitchen")]);
  if (made === null) return null;
  const id = made[0];
  if (!link([new Link(id, hits[0].id, "unlike", 0.25)])) return null;
  const got = get([id]);
  const changed = update(id, object().set("content", "Ben prefers water"));
  const around = graph(hits[0].id, 1);
  if (got === null || changed === null || around === null || !forget([id])) return null;
  const left = get([id]);
  if (left === null || !setGlobals(object().put("n", num(7)))) return null;
  const g = globals();
  if (g === null) return null;
  log(Level.Debug, "level 0");
  log(Level.Info, "level 1");
  log(Level.Warn, "level 2");
  log(Level.Error, "level 3");
  progress(1, 2, "half");
  const e: Engram = got[0];
  return object().set("found", hits[0].content).put("scored", flag(hits[0].score > 0)).set("content", e.content).put("tags", strings(e.tags))
    .put("confidence", num(e.confidence)).set("kind", e.kind).set("context", e.context).put("page", e.metadata.get("page"))
    .set("relation", e.links[0].relation).put("weight", num(e.links[0].weight)).put("around", num(around.engrams.length + 1)).put("edges", num(around.links.length + 1))
    .put("version", num(changed.version)).set("changed", changed.content).put("left", num(left.length)).put("globals", g.get("n"))
    .put("word", config("word")).put("deep", config("deep").get("n")).put("nothing", flag(config("none").isNull))
    .put("time", flag(deadline() > now())).put("fuel", flag(fuelLeft() > 0));
}

function denied(params: Json): Json | null {
  if (call("engram_history", object().set("id", "x")) !== null) return fail("it was not refused");
  return object().set("code", lastError.code).set("message", lastError.message);
}

function text(params: Json): Json | null {
  return object().put("text", str(params.get("text").text)).put("number", num(params.get("number").number));
}

function fails(params: Json): Json | null { return fail('no "such" thing'); }

function hook(params: Json): Json | null {
  if (!params.get("result").isNull) return give(params.get("result"));
  if (params.get("tool").text == "engram_update") return refuse("no");
  return goOn(params.get("args"));
}
