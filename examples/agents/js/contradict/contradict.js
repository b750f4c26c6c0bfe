// contradict: finds what a new engram disagrees with, and says which of the
// two holds.
//
// check, a hook after engram_create: a sentence such as "Ada's manager is Ben",
// "Ada moved to Ghent" or "Ada does not eat meat" is read as a claim: a
// subject, an attribute of which there is one, and a value. Older claims about
// the same subject and attribute with another value are linked contradicts; if
// time, trust and confidence allow, supersedes too, and the older one ends with
// valid_to. What cannot be read this way is left alone: a claim that is missed
// costs less than one that is made up.
//
// config: "supersede" false only links; "min_confidence" of what may
// supersede; "most", how many engrams of a batch are looked at.

export function check({ result }) {
  const made = (result.engrams ?? []).filter(({ duplicate }) => !duplicate);
  const batch = made.map(({ id }) => id).slice(0, config.most ?? 50);
  if (!batch.length) return {};
  const seen = [];
  const told = [];
  for (const found of engram.get(batch)) {
    const one = { ...found, claims: read(found) };
    for (const old of one.claims.length ? candidates(one, seen, batch) : []) {
      const done = settle(one, old);
      if (done) told.push(done);
    }
    seen.push(one);
  }
  return told.length ? { result: { annotation: { contradictions: told } } } : {};
}

/** What is asked of other engrams. */
const FIELDS = ["id", "content", "kind", "source", "context", "trust", "confidence", "valid_from", "valid_to", "created_at"];

/**
 * The engrams whose claims a new one contradicts, of those that a search finds
 * and of those before it in its batch.
 */
function candidates(one, seen, batch) {
  const found = seen.filter((old) => disagree(one, old));
  const known = new Set([...batch, ...found.map(({ id }) => id)]);
  const asked = one.claims.filter((c) => c.attribute !== DOES).map((c) => `${c.subject.split("@")[0]} ${c.attribute}`);
  const subjects = [...new Set(one.claims.map((c) => c.subject))];
  for (const query of [one.content, ...asked]) {
    // What is about the same subject has its words.
    for (const hit of engram.search(query, { limit: 40, mode: "text", fields: FIELDS })) {
      if (known.has(hit.id)) continue;
      known.add(hit.id);
      const low = plain(hit.content).toLowerCase();
      if (!subjects.some((subject) => subject.includes("@") || subject.split(" ").every((word) => low.includes(word)))) continue;
      const old = { ...hit, claims: read(hit) };
      if (disagree(one, old)) found.push(old);
    }
  }
  return found;
}

/** Whether two engrams that may hold at one time contradict each other. */
function disagree(a, b) {
  const [first, last] = clock(time(a)) < clock(time(b)) ? [a, b] : [b, a];
  if (first.valid_to && clock(first.valid_to) <= clock(time(last))) return false;
  return a.claims.some((x) => b.claims.some((y) => (x.named || a.context === b.context) && against(x, y)));
}

/**
 * Links two engrams that contradict each other, ends the older one, and says
 * what was done.
 */
function settle(one, old) {
  const { supersede, min_confidence: least = 0.5 } = config;
  const sameTime = one.valid_from && clock(time(one)) === clock(time(old));
  const [last, first] = clock(time(one)) < clock(time(old)) ? [old, one] : [one, old];
  const trusted = last.trust === "user" || first.trust !== "user";
  const supersedes = supersede !== false && !sameTime && trusted && last.confidence >= least;
  const relations = supersedes ? ["contradicts", "supersedes"] : ["contradicts"];
  try {
    engram.link(relations.map((relation) => ({ from: last.id, to: first.id, relation, weight: 1 })));
    if (supersedes && !first.valid_to) engram.update(first.id, { valid_to: time(last) });
  } catch (e) {
    log.warn(`${last.id} contradicts ${first.id}, which cannot be noted: ${e.message}`);
    return undefined;
  }
  return { id: last.id, contradicts: first.id, supersedes };
}

/** When something happened or was stored. */
const time = (e) => e.valid_from || e.created_at;

/** A time as a text that sorts: RFC 3339 in UTC, with nine decimals. */
function clock(time) {
  const [whole, part = ""] = time.replace(/Z$/, "").split(".");
  return `${whole}.${part.padEnd(9, "0")}`;
}

// ---- Claims ----
//
// A claim is what a sentence says about something: { subject, named, attribute,
// value, sort, not }. A subject that is named means the same in every context;
// a claim with not says that the attribute does not have the value, a list of
// words.

/** The attribute of claims that say that something does something or not. */
const DOES = "does";

const set = (text) => new Set(text.split(" "));

/** Whether two claims cannot both be true. */
function against(a, b) {
  if (a.subject !== b.subject || a.attribute !== b.attribute) return false;
  if (a.not || b.not) return a.not !== b.not && equal(a.value, b.value);
  const within = (v, w) => v.every((word) => w.includes(word));
  if (a.attribute === DOES || a.sort !== b.sort || within(a.value, b.value) || within(b.value, a.value)) return false;
  switch (a.sort) {
    case "number": {
      const [[n, ...unit], [m, ...other]] = [a.value, b.value];
      return n !== m && (!unit.length || !other.length || equal(unit, other));
    }
    case "other":
      return ONE_OF.has(a.attribute.split(" ").at(-1));
    case "name":
      if (a.attribute.endsWith("place")) return a.value.some((w) => WIDE.has(w)) === b.value.some((w) => WIDE.has(w));
      // "The car is Swedish" and "The car is Ben's" may both be true.
      return !a.attribute.endsWith(" is");
    default:
      return true;
  }
}

const equal = (a, b) => a.length === b.length && a.every((word, i) => word === b[i]);

/** Countries and more, which may hold another place. */
const WIDE = set(
  "europe asia africa america australia austria belgium brazil canada china denmark england finland france germany greece india ireland " +
    "italy japan kenya mexico netherland nigeria norwa poland portugal scotland spain sweden switzerland turke uk usa ukraine wale",
);

/** Attributes, by their last word, of which there is one at a time, whatever the value is called. */
const ONE_OF = set(
  "job role title status state colour color size name nickname password address mode plan stage phase diet gender profession occupation " +
    "language format frequency policy topic theme priority favourite favorite",
);

/** Attributes of which there are several. */
const MANY_OF = set(
  "friend colleague brother sister child son daughter cousin aunt uncle neighbour neighbor hobb pet client customer partner member part " +
    "example goal reason problem issue advantage feature idea grandchild student",
);

/** Attributes with the verbs that tell them; the first word stands for all of its forms in the present. */
const PHRASES = {
  place:
    "live in|move to|moved to|relocated to|reside in|settled in|is based in|is located in|is hosted on|is hosted in|is deployed to|run on|" +
    "run in|was moved to|was migrated to|migrated to",
  employer: "work for|work at|is employed by",
  job: "work as",
  spouse: "is married to|married",
  manager: "report to|is managed by",
  language: "is written in|was rewritten in",
  owner: "is owned by|belong to|is maintained by|was handed over to",
  lead: "is led by",
  assignee: "is assigned to|was reassigned to|was assigned to",
  date:
    "is due on|is due|is scheduled for|is planned for|was rescheduled to|was rescheduled for|was postponed to|was postponed until|" +
    "take place on",
  start: "start on|start at|begin at|begin on",
  end: "end on|end at",
  opening: "open at",
  closing: "close at",
  expiry: "expire on",
  price: "cost|sell for",
  port: "listen on port|listen on|use port",
  car: "drive a|drive an",
  version: "run version|is on version|is at version",
  name: "is called|is named|was renamed to",
  contact: "is reachable at",
  waking: "wake up at|get up at",
  bedtime: "go to bed at",
};

/** The same by the first word: the words after it, and the attribute. */
const VERBS = new Map();
for (const [attribute, phrases] of Object.entries(PHRASES)) {
  for (const phrase of phrases.split("|")) {
    const [first, ...rest] = phrase.split(" ");
    VERBS.set(first, [...(VERBS.get(first) ?? []), { rest, attribute }]);
  }
}

/** What was done to an attribute that has another value from then on. */
const CHANGED = set(
  "changed set raised lowered reduced increased tightened relaxed bumped moved switched updated cut extended upgraded shortened pushed " +
    "brought corrected rose fell dropped grew went rescheduled postponed renamed delayed",
);

/** Sentences with one of these do not say what is so now. */
const UNSURE = set(
  "if would might could should will shall may plans wants hopes wishes maybe perhaps probably possibly unless used formerly previously " +
    "originally or either rumour rumor allegedly supposedly almost considered considers thinks said says claims asked wonders once until " +
    "during between sometimes often usually visited imagine suppose going",
);

/** Words that say when, and nothing else. */
const NOW = set("now currently just recently finally meanwhile again also actually nowadays already today presently officially");

/** What ends a value. */
const ENDS = set("and but because since after when while with so instead from than which who where though although for as by");

/** How sentences open that say when or why first. */
const OPENS = set("as since from after in on by starting effective update correction fyi note news");

/** The claims of an engram. */
function read({ kind, content, source }) {
  if (kind === "digest" || kind === "question" || content.length > 4000) return [];
  const sentences = content.split(/\n|(?<=[.!?])\s/).map((s) => s.trim());
  return sentences.filter(Boolean).slice(0, 8).flatMap((s) => (s.endsWith("?") ? [] : claims(s, source ?? "")));
}

const PAST = set("was were had did");

function claims(sentence, source) {
  let t = tokens(sentence);
  if (t.length < 3 || t.length > 24 || t.some((w) => UNSURE.has(w.low) && w.raw !== "May")) return [];
  // "As of Monday, the limit is 5"; "Correction: the limit is 5".
  const opening = OPENS.has(t[0].low) ? t.slice(0, 6).findIndex((w) => w.stop) : -1;
  t = t.slice(opening + 1).filter((w) => !NOW.has(w.low));
  const not = negated(t);
  for (let at = 1; at < t.length; at++) {
    const verb = verbAt(t, at);
    if (!verb) continue;
    const one = claim(t.slice(0, at), t.slice(verb.end), verb.attribute, source, not);
    if (one) return [one];
    break;
  }
  // A verb of the past says nothing about now.
  return !not && t.some((w) => PAST.has(w.low)) ? [] : doing(t, source, not);
}

/** A word as it was written, and in lower case; stop if a comma or the like follows. */
const token = (raw, stop = false) => ({ raw, low: raw.toLowerCase(), stop });

/** A text with one kind of apostrophe, and signs as words. */
const plain = (text) => text.replaceAll("’", "'").replaceAll("%", " percent");

function tokens(sentence) {
  const list = [];
  for (const part of sentence.split(/\s+/)) {
    const open = part.replace(/^["'“‘([*_]+/, "");
    const raw = plain(open.replace(/["'”’)\]*_,;:.!?]+$/, ""));
    const stop = /[,;)]$/.test(open) || (open.endsWith(":") && !list.length);
    for (const word of raw.split(" ").filter(Boolean)) list.push(token(word, stop));
    // "Budget of Juniper: 5" says the same as with "is".
    if (open.endsWith(":") && list.length > 1 && list.length < 7 && !list.some((w) => w.low === "is")) list.push(token("is"));
  }
  return list;
}

const NEVER = set("doesn't don't not never");
const IS_NOT = set("isn't aren't");

/** Takes the negation out of a sentence, and the verb that only carries it. */
function negated(t) {
  let not = false;
  for (let i = 0; i < t.length; ) {
    const { low } = t[i];
    const next = t[i + 1]?.low;
    const two = low === "no" ? next === "longer" : (low === "do" || low === "does") && next === "not";
    const gone = two ? 2 : NEVER.has(low) ? 1 : 0;
    if (IS_NOT.has(low)) t[i] = token("is");
    not ||= gone > 0 || IS_NOT.has(low);
    t.splice(i, gone);
    if (!gone) i++;
  }
  return not;
}

/** Forms of to be, as VERBS has them. */
const BE = new Map(Object.entries({ is: "is", are: "is", am: "is", equals: "is", was: "was", were: "was" }));
const ARRIVES = set("to until at");

/**
 * The verb phrase at a place: where it ends, and its attribute; "" stands for
 * the plain "is", where the subject names the attribute.
 */
function verbAt(t, at) {
  const { low } = t[at];
  const been = (low === "has" || low === "have") && t[at + 1]?.low === "been"; // "has been moved to"
  const be = been ? "was" : BE.get(low);
  const after = been ? at + 2 : at + 1;
  const firsts = be ? [be] : [low, ...(low.endsWith("s") ? [low.slice(0, -1)] : []), ...(low.endsWith("es") ? [low.slice(0, -2)] : [])];
  for (const first of firsts) {
    for (const { rest, attribute } of VERBS.get(first) ?? []) {
      if (rest.every((word, i) => t[after + i]?.low === word)) return { attribute, end: after + rest.length };
    }
  }
  const changed = be ? after : at;
  if (CHANGED.has(t[changed]?.low)) {
    // "was raised (back) (from 3) to 5"
    const to = t.slice(changed + 1, changed + 6).findIndex((w) => ARRIVES.has(w.low));
    return to < 0 ? undefined : { attribute: "", end: changed + to + 2 };
  }
  return be === "is" ? { attribute: "", end: after } : undefined;
}

/** The claim of a subject, a value and the attribute between them, if it is one. */
function claim(subject, value, attribute, source, not) {
  const whose = split(subject, source);
  const what = whose && valued(value);
  if (!what || (attribute === "employer" && what.sort === "other")) return undefined; // "works at night"
  const where = what.sort === "name" || what.sort === "other";
  if (attribute === "date" || (attribute === "place" && !where)) attribute = "";
  const { own } = whose;
  const head = own.at(-1) ?? "";
  const several = MANY_OF.has(head) || (!/^(status|address)$/.test(head) && /s$/.test(head) && !/ss$/.test(head));
  if (!attribute && several && what.sort !== "number") return undefined;
  const name = [...own, attribute || (own.length ? "" : "it is")].join(" ").trim();
  return { subject: whose.subject, named: whose.named, attribute: name, ...what, not };
}

/** What stands for something else, which is not known, or for several. */
const NOBODY = set(
  "he she it they this that there who which what someone everyone everybody nobody nothing people one each every some many most all his " +
    "her its their your you these those old former previous other another first second last next both few several no any",
);

const ARTICLES = set("the a an our new current latest present");
const SELF = set("my i we");

/**
 * Splits "the budget of Juniper", "Juniper's budget" and "my budget" into the
 * subject, the words of the attribute, and whether the subject has a name.
 */
function split(t, source) {
  if (!t.length || t.length > 7 || t.some((w) => w.stop || NOBODY.has(w.low))) return undefined;
  const kept = t.filter((w) => !ARTICLES.has(w.low));
  const whose = kept.findIndex((w) => w.low.endsWith("'s"));
  const of = kept.findIndex((w) => w.low === "of");
  if (whose >= 0 && of >= 0) return undefined;
  const [owner, own] =
    whose >= 0 ? [kept.slice(0, whose + 1), kept.slice(whose + 1)] : of >= 0 ? [kept.slice(of + 1), kept.slice(0, of)] : [kept, []];
  if (!owner.length) return undefined;
  const [{ low: first }] = owner;
  if (SELF.has(first)) {
    if (whose >= 0 || of >= 0 || (first !== "my" && owner.length > 1)) return undefined;
    return { subject: `${first === "we" ? "we" : "i"}@${source}`, own: stems(owner.slice(1)), named: source !== "" };
  }
  const whole = owner.length < t.length || t.length === 1 || owner.every((w) => capital(w.raw));
  const named = owner.some((w) => /[\d_-]/.test(w.low)) || (capital(owner.at(-1).raw) && whole);
  return { subject: stems(owner).join(" "), own: stems(own), named };
}

const PLACED = set("in on at to");
const LEADS = set("the a an on at in to until around about approximately port version only up exactly");
const WEEKDAYS = set("monday tuesday wednesday thursday friday saturday sunday");
const MONTHS = set("january february march april may june july august september october november december");
const HOURS = set("am pm o'clock");
const NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split(" ");

/** The words of a value and what sort it is of. */
function valued(t) {
  const from = t.findIndex((w) => !LEADS.has(w.low));
  if (from < 0) return undefined;
  t = t.slice(from);
  const end = t.findIndex((w, i) => ENDS.has(w.low) || t[i - 1]?.stop || (i > 0 && PLACED.has(w.low)));
  const words = end < 0 ? t : t.slice(0, end);
  if (!words.length || words.length > 5) return undefined;
  // "room 204" is a number with a unit, as "204 rooms" would be.
  if (words.length === 2 && /^\d+$/.test(words[1].low) && !capital(words[0].raw)) words.reverse();
  return { value: words.map(({ low }) => (NUMBERS.includes(low) ? String(NUMBERS.indexOf(low)) : stem(low))), sort: sortOf(words) };
}

function sortOf(words) {
  const [{ raw, low }] = words;
  const has = (list) => words.some((w) => list.has(w.low));
  const digit = /^[$€£+]*\d/.test(low);
  if (/^(noon|midnight)$/.test(low) || (digit && (/:|[ap]m$/.test(low) || has(HOURS)))) return "hour";
  if ((digit && low.split("-").length === 3) || (has(MONTHS) && words.some((w) => w.raw !== "may"))) return "day";
  if (has(WEEKDAYS)) return "weekday";
  if (digit || NUMBERS.includes(low)) return "number";
  return capital(raw) ? "name" : "other";
}

/** Forms of verbs that stem does not know. */
const FORMS = new Map(Object.entries({ has: "have", is: "be", are: "be", am: "be", goes: "go" }));

/**
 * Claims that something does something or not. Where the subject ends is not
 * known, so there is one for each of the first words at which it may.
 */
function doing(t, source, not) {
  const all = [];
  for (let at = 1; at < Math.min(t.length, 5); at++) {
    const whose = split(t.slice(0, at), source);
    const end = t.findIndex((w, i) => i >= at && ENDS.has(w.low));
    const value = t.slice(at, end < 0 ? t.length : end).map((w) => FORMS.get(w.low) ?? stem(w.low));
    if (!whose || whose.own.length || value.length < 2 || value.length > 6) continue;
    all.push({ subject: whose.subject, named: whose.named, attribute: DOES, value, sort: "other", not });
  }
  return all;
}

// ---- Words ----

function capital(text) {
  const [first = ""] = text;
  return first !== first.toLowerCase();
}

const stems = (list) => list.map((w) => stem(w.low));

/** A word without the endings that change with its place in a sentence. */
function stem(word) {
  if (!word.endsWith("s") && !word.endsWith("y")) return word; // most words, at once
  word = word.replace(/'s$/, "");
  if (word.length <= 3 || /[^\0-\x7f]/.test(word)) return word;
  return word.replace(/(?<=ss)es$|ies$|y$|(?<![sui])s$/, "");
}
