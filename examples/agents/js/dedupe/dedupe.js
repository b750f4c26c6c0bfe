// dedupe: links what says the same twice.
//
// check, a hook after engram_create: each new engram is compared with those
// that a search finds for it. Two are near-duplicates if they have the same
// words that count, apart from their order, endings, slips of the hand and a
// few more words on one side. A number, a name, a negation or one word in the
// place of another makes two statements of them. The new engram is linked
// near_duplicate to the old one, with the similarity as weight.
//
// config: "threshold", the least similarity (0.85); "most", how many engrams
// of a batch are looked at.

export function check({ args, result }) {
  const { threshold = 0.85, most = 50 } = config;
  const made = result.engrams ?? [];
  const batch = new Set(made.map(({ id }) => id));
  const seen = [];
  const links = [];
  for (const [i, { id, duplicate }] of made.slice(0, most).entries()) {
    const content = args.engrams?.[i]?.content ?? "";
    const ours = words(content);
    if (duplicate || ours.length < 3) continue;
    const query = [...content].slice(0, 400).join("");
    const found = engram.search(query, { limit: 20, mode: "text", fields: ["id", "content"] });
    const others = found.filter((hit) => !batch.has(hit.id)).map((hit) => ({ id: hit.id, theirs: words(hit.content) }));
    for (const other of [...others, ...seen]) {
      const weight = similarity(ours, other.theirs);
      if (weight >= threshold) links.push({ from: id, to: other.id, relation: "near_duplicate", weight });
    }
    seen.push({ id, theirs: ours });
  }
  if (!links.length) return {};
  engram.link(links);
  return { result: { annotation: { near_duplicates: links.map(({ from, to, weight }) => ({ id: from, of: to, weight })) } } };
}

/** How much two texts say the same: 0 to 1, in hundredths. */
function similarity(a, b) {
  a = a.filter(counts);
  b = b.filter(counts);
  // What only one of them says must not change what the other says.
  if (a.some((word) => !has(b, word)) && b.some((word) => !has(a, word))) return 0;
  const pairs = []; // the places in b of the words that both have
  for (const word of a) {
    const at = b.findIndex((other, i) => !pairs.includes(i) && same(word, other));
    if (at >= 0) pairs.push(at);
  }
  if (!pairs.length || (pairs.length < a.length && pairs.length < b.length)) return 0;
  const turns = (word) => word.digit || NOT.has(word.text);
  if (a.some((word) => turns(word) && !has(b, word)) || b.some((word) => turns(word) && !has(a, word))) return 0;
  const bag = (2 * pairs.length) / (a.length + b.length);
  const order = inOrder(pairs) / pairs.length;
  // "Tea over coffee" is not "coffee over tea", nor "Ada calls Ben" "Ben calls Ada".
  if (order < 0.5 || (order < 1 && a.some((word) => SIDES.has(word.text)))) return 0;
  return Math.floor((0.8 * bag + 0.2 * order) * 100 + 0.5) / 100;
}

const has = (list, word) => list.some((other) => same(word, other));

/** The most numbers of a list that rise from left to right. */
function inOrder(list) {
  const best = [];
  for (const [i, x] of list.entries()) best.push(1 + Math.max(0, ...best.filter((_, j) => j < i && list[j] < x)));
  return Math.max(0, ...best);
}

// ---- Words ----

const set = (text) => new Set(text.split(" "));

/** Words that turn a statement round. */
const NOT = set(
  "not no never none nobody nothing without don't doesn't isn't aren't wasn't won't can't cannot didn't hasn't haven't shouldn't longer " +
    "anymore stopped former formerly except only if unless before after almost failed off out up down",
);

/** Words with something on either side of them. */
const SIDES = set("over than before after instead into until since via");

/** Words that tell little about what a sentence says. */
const STOP = set(
  "a about actually also am an and are as at basically be been but by can did do does for from had has have he her hers him his i in is it " +
    "its just me my of on or our please really she so that the their them there these they this those to us very was we well were which " +
    "who will with you your that's it's i'm",
);

/** The words of a text: runs of letters and digits, with - ' . _ inside of them. */
function words(text) {
  const found = text.match(/[\p{Alphabetic}\p{N}]+(?:[-'._][\p{Alphabetic}\p{N}]+)*/gu) ?? [];
  return found.map((word) => {
    const [first] = word;
    const lower = word.toLowerCase();
    return { text: lower, stem: stem(lower), capital: first !== first.toLowerCase(), digit: /\d/.test(word) };
  });
}

const counts = (word) => !STOP.has(word.text);

/** A word without the endings that change with its place in a sentence. */
function stem(word) {
  if (!word.endsWith("s") && !word.endsWith("y")) return word; // most words, at once
  word = word.replace(/'s$/, "");
  if (word.length <= 3 || /[^\0-\x7f]/.test(word)) return word;
  return word.replace(/(?<=ss)es$|ies$|y$|(?<![sui])s$/, "");
}

/** The same word, but for ending and, in longer words that are no names or numbers, a slip of the hand. */
function same(a, b) {
  if (a.stem === b.stem) return true;
  const fixed = a.capital || b.capital || a.digit || b.digit;
  const shortest = Math.min(a.text.length, b.text.length);
  if (fixed || shortest < 5) return false;
  const most = shortest >= 9 ? 2 : 1;
  return Math.abs(a.text.length - b.text.length) <= most && slips(a.text, b.text) <= most;
}

/** How many letters must be put in, left out, changed or swapped with the next one to make b of a. */
function slips(a, b) {
  let [before, above, row] = [[], [], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    [before, above, row] = [above, row, [i]];
    for (let j = 1; j <= b.length; j++) {
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] !== b[j - 1]), swapped ? before[j - 2] + 1 : Infinity);
    }
  }
  return row[b.length];
}
