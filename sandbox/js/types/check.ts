// What tsc must accept, and behind @ts-expect-error what it must not.
const id: string = engram.create("tea is hot", "ben", 0.9);
const { duplicate } = engram.create({ content: "tea", tags: ["drink"] });
const ids: string[] = engram.create([{ content: "a" }, { content: "b" }]).map((made) => made.id);
const one: string | undefined = engram.get(id)?.content;
const many: number = engram.get(ids).length;
for (let hits = engram.search("tea", { limit: 200 }); ; hits = engram.search({ cursor: hits.cursor })) {
  log.warn(hits[0].score, hits.cursor);
  if (!hits.cursor) break;
}
engram.link(id, ids[0], "about", 0.5).weight.toFixed();
engram.link([{ from: id, to: id, relation: "is" }]).length;
engram.unlink(id, ids[0], "about");
engram.update(id, { tags: [] }).version.toFixed();
engram.forget({ filter: { before: "2020-01-01" }, dry_run: true }).confirm;
engram.graph(id, { mode: "path", to: ids[0] }).links;
engram.history(id).versions;
engram.call("agent_run", { agent: "x" }).output;
globals.n = (globals.n ?? 0) + 1;
globals = {};
emit({ done: config.total });
console.log(nowMs(), deadlineMs() - Date.now(), fuelLeft());
for (const { content } of engram.each({ kind: "preference" })) log(content.length);
export const add = tool(
  "Stores a note.",
  {
    text: is.string("what to note"),
    stars: is.integer("how good it is", { minimum: 1, default: 3 }),
    mood: is.oneOf(["glad", "sad"], "how it feels", { optional: true }),
    parts: is.list(is.object({ n: is.number() })),
  },
  ({ text, stars, mood, parts }) => {
    const sad: boolean = mood === "sad";
    return `${text.trim()} ${stars.toFixed()} ${sad} ${parts[0].n.toFixed()}`;
  },
  { returns: { text: is.string() }, readOnly: false },
);
try {
  engram.call("x");
} catch (e) {
  if (e instanceof EngramError) log(e.code, e.hint);
}

// @ts-expect-error: it may be absent
tool("", { mood: is.string("", { optional: true }) }, ({ mood }) => mood.trim());
// @ts-expect-error: there is no such parameter
tool("", { mood: is.string() }, ({ colour }) => colour);
// @ts-expect-error: a parameter needs a type
tool("", { mood: "string" }, () => 1);
// @ts-expect-error: confidence is a number
engram.create("tea", "ben", "sure");
// @ts-expect-error: a link needs a relation
engram.link(id, ids[0]);
// @ts-expect-error: it may be null
engram.get(id).content;
// @ts-expect-error: there is no network
fetch("http://127.0.0.1");
// @ts-expect-error: there are no timers
setTimeout(() => {}, 1);

export { duplicate, one, many };
