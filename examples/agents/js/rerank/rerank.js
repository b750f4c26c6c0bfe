// rerank: puts hits into another order, by rules.
//
// order, a hook after engram_search: a hit's score, as a share of the best
// one's, and the boosts of the rules that it meets add up; equal hits stay in
// their order. A rule names a value of a hit's field, or an age:
//
//   {"field": "tags", "is": "pinned", "boost": 0.5}
//   {"field": "metadata.status", "is": "approved", "boost": 0.3}
//   {"half_life_days": 30, "boost": 0.2}
//
// A rule of age gives its boost to the newest of the hits, half of it to one
// that is half_life_days older, a third at twice that, and so on. A boost can
// be negative.
//
// config: "rules". Rules see the fields that the search shows.

export function order({ args, result }) {
  const hits = result.hits ?? [];
  if (!args.query || hits.length < 2) return {}; // what is listed by time stays so
  const best = Math.max(0, ...hits.map(score));
  const newest = Math.max(...hits.map(day).filter(Number.isFinite));
  const rules = config.rules ?? [];
  const rank = (hit) => rules.reduce((sum, rule) => sum + boost(rule, hit, newest), best > 0 ? score(hit) / best : 0);
  const ranked = hits.map((hit) => ({ id: hit.id, rank: rank(hit) }));
  ranked.sort((a, b) => b.rank - a.rank);
  if (ranked.every(({ id }, i) => id === hits[i].id)) return {};
  return { result: { hits: ranked.map(({ id }) => ({ id })) } };
}

const score = (hit) => hit.score ?? 0;

/** What a rule adds to a hit. */
function boost({ field, is, half_life_days: half, boost }, hit, newest) {
  if (typeof boost !== "number") throw new Error("a rule in the config has no boost");
  if (half > 0) {
    const age = newest - day(hit);
    return Number.isNaN(age) ? 0 : boost / (1 + age / half);
  }
  if (!field || is == null) throw new Error("a rule in the config has neither field and is, nor half_life_days");
  const value = field.split(".").reduce(member, hit);
  const met = equal(value, is) || (Array.isArray(value) && value.some((v) => equal(v, is)));
  return met ? boost : 0;
}

/** A member of an object, and nothing that the language adds to values. */
function member(value, key) {
  return typeof value === "object" && value && !Array.isArray(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** When a hit happened or was stored, in whole seconds, as days since 1970; NaN if unknown. */
function day({ valid_from, created_at }) {
  return Math.floor(Date.parse(valid_from || created_at) / 1000) / 86400;
}
