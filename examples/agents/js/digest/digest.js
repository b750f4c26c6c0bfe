// digest: keeps a summary of a context, made of its own sentences.
//
// write: {"context": "standup", "sentences": 5} -> {"digests": [{"context",
// "id", "state"}]}, where state is new, changed, same or empty. Without a
// context it does so for every context of the newest engrams.
//
// The sentences are those whose words come up most in the context, but not
// everywhere; what has been picked counts less from then on, so that they tell
// different things (after SumBasic). The summary is an engram of kind digest in
// the same context, so that it is read by nobody who may not read the context,
// and is linked summarizes to the engrams it quotes. Engrams in collections are
// left out, because others may read those. The agent's globals keep what each
// context looked like, and nothing is written when it still does.

/** The most engrams of a context that are looked at, the newest ones. */
const MOST = 2000;

/** Globals hold so many contexts; the ones written longest ago go first. */
const KEPT = 300;

export function write({ context, sentences }) {
  const count = Math.trunc(Math.min(50, Math.max(1, sentences ?? config.sentences ?? 5)));
  const kept = new Map(globals.digests); // by their contexts, the newest last
  const digests = (context ? [context] : recent()).map((context) => ({ context, ...digest(context, count, kept) }));
  globals.digests = [...kept].slice(-KEPT);
  return { digests };
}

/** The contexts of the newest engrams. */
function recent() {
  const found = engram.search({ limit: 200, fields: ["id", "context", "kind"] });
  return [...new Set(found.map((e) => e.context).filter(Boolean))];
}

/** Brings the digest of a context up to date: its id, and what was done. */
function digest(context, count, kept) {
  const sources = engrams(context);
  if (!sources.length) return { id: "", state: "empty" };
  const mark = fingerprint(sources, count);
  const before = kept.get(context);
  let old = before && engram.get(before.id, { include_links: true });
  if (old?.context !== context) old = undefined;
  if (old && before.mark === mark) return { id: old.id, state: "same" };

  const picked = pick(sources, count);
  const until = time(sources.at(-1));
  const fields = {
    content: picked.map(({ source, text }) => `- ${source.source ? `${source.source}: ` : ""}${text}`).join("\n"),
    kind: "digest",
    valid_from: until,
    metadata: { engrams: sources.length, since: time(sources[0]), until },
  };
  const { id } = old ? engram.update(old.id, fields) : engram.create({ ...fields, context, allow_duplicate: true });
  relink(id, old?.links ?? [], [...new Set(picked.map(({ source }) => source.id))]);
  kept.delete(context);
  kept.set(context, { id, mark });
  return { id, state: old ? "changed" : "new" };
}

/** The engrams of a context in their order, without digests and what is in collections. */
function engrams(context) {
  const list = [];
  let cursor;
  do {
    const page = engram.search({ context, limit: 200, cursor });
    list.push(...page);
    ({ cursor } = page);
  } while (cursor && list.length < MOST);
  const ours = list.filter((e) => e.kind !== "digest" && !e.collections?.length && e.context === context);
  return ours.sort((a, b) => compare(time(a), time(b)) || compare(a.id, b.id));
}

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** When something happened or was stored. */
const time = (e) => e.valid_from || e.created_at;

/** A text that changes with what a digest is made of (FNV-1a, twice). */
function fingerprint(sources, count) {
  let [a, b] = [0x811c9dc5, 0xcbf29ce4];
  const text = JSON.stringify(sources.map((e) => [e.id, e.content, e.source, time(e)]));
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b);
  }
  return [a >>> 0, b >>> 0, sources.length, count].join(".");
}

/** Sentences as they were said, in their order: the engram that each is of, and its text. */
function pick(sources, count) {
  const all = [];
  const share = new Map(); // of each word
  const seen = new Set();
  for (const source of sources) {
    for (const sentence of sentences(source.content)) {
      const told = stems(sentence);
      told.forEach((word) => share.set(word, share.get(word) ?? 0));
      const text = sentence.replace(/^[-*#> ]+/, "");
      // A question or half a sentence says little, and what was said in the
      // same words before is a phrase.
      const tells = told.length >= 3 && told.length <= 40 && !sentence.endsWith("?") && sentence.length <= 400;
      if (!tells || seen.has(text)) continue;
      seen.add(text);
      told.forEach((word) => share.set(word, share.get(word) + 1));
      all.push({ source, text, told, picked: false });
    }
  }
  // Words that are everywhere tell nothing of what is said here.
  const common = Math.max(6, all.length / 20);
  for (const [word, n] of share) if (n > common) share.set(word, 0);
  const total = Math.max(1, sum([...share.values()]));
  for (const [word, n] of share) share.set(word, n / total);
  for (let n = 0; n < count && n < all.length; n++) {
    let best, most = -1;
    for (const one of all) {
      if (one.picked) continue;
      const worth = sum(one.told.map((word) => share.get(word))) / (one.told.length + 6);
      if (worth > most) [best, most] = [one, worth];
    }
    best.picked = true;
    best.told.forEach((word) => share.set(word, share.get(word) ** 2));
  }
  return all.filter((one) => one.picked);
}

const sum = (list) => list.reduce((a, b) => a + b, 0);

/** Makes the links of a digest those to the engrams that it quotes. */
function relink(id, links, sources) {
  const before = links.filter((l) => l.from === id && l.relation === "summarizes").map((l) => l.to);
  const to = (list) => list.map((to) => ({ from: id, to, relation: "summarizes" }));
  const gone = to(before.filter((source) => !sources.includes(source)));
  const made = to(sources.filter((source) => !before.includes(source)));
  if (gone.length) engram.unlink(gone);
  if (made.length) engram.link(made);
}

// ---- Words ----

/** Words that tell little about what a sentence says. */
const STOP = new Set(
  (
    "a about actually also am an and are as at basically be been but by can did do does for from had has have he her hers him his i in is it " +
    "its just me my of on or our please really she so that the their them there these they this those to us very was we well were which " +
    "who will with you your that's it's i'm"
  ).split(" "),
);

/** The sentences and lines of a text. */
const sentences = (text) => text.split(/\n|(?<=[.!?])\s/).map((s) => s.trim()).filter(Boolean);

/** The words of a sentence that count, each once and without its ending. */
function stems(sentence) {
  const found = sentence.match(/[\p{Alphabetic}\p{N}]+(?:[-'._][\p{Alphabetic}\p{N}]+)*/gu) ?? [];
  const words = found.map((word) => word.toLowerCase()).filter((word) => !STOP.has(word));
  return [...new Set(words.map(stem))];
}

/** A word without the endings that change with its place in a sentence. */
function stem(word) {
  if (!word.endsWith("s") && !word.endsWith("y")) return word; // most words, at once
  word = word.replace(/'s$/, "");
  if (word.length <= 3 || /[^\0-\x7f]/.test(word)) return word;
  return word.replace(/(?<=ss)es$|ies$|y$|(?<![sui])s$/, "");
}
