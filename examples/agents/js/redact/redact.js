// redact: takes secrets and personal data out of what is about to be written,
// or refuses it.
//
// mask, a hook before tools that write: every text in the arguments, in
// metadata too, is searched, and what is found becomes a marker such as
// "[password removed]". Where a marker would mix things up, in the names of
// contexts and the like, the call is refused.
//
// config: "mode" "redact" (default) or "refuse"; "kinds", which of KINDS to
// look for, all but ip if absent.

/** What can be found, and how a person calls it. */
const KINDS = {
  private_key: "private key",
  key: "API key",
  token: "token",
  password: "password",
  card: "card number",
  iban: "bank account",
  ssn: "social security number",
  email: "e-mail address",
  phone: "phone number",
  ip: "IP address",
};

/** Arguments that hold ids and times, which only look like something else. */
const PLAIN = new Set(["id", "ids", "to", "from", "valid_from", "valid_to"]);

/** Arguments that name what others name the same way. */
const NAMES = new Set(["context", "collections", "kind", "relation", "relationType", "entityType", "entityName"]);

export function mask({ tool, args }) {
  const search = { kinds: wanted(), entities: tool === "create_entities", found: [], named: [], inexact: false };
  const clean = cleaned(search, args, "", "known");
  const [refused] = config.mode === "refuse" ? search.found : search.named;
  if (refused) {
    const what = KINDS[refused];
    return { refuse: `it holds ${/^[aeAEI]/.test(what) ? "an" : "a"} ${what}: leave that out` };
  }
  if (!search.found.length) return {};
  if (search.inexact) return { refuse: "it holds a number with more digits than can be kept: write that as a text" };
  return { args: clean };
}

/** The kinds that the config asks for. */
function wanted() {
  const kinds = config.kinds ?? Object.keys(KINDS).filter((kind) => kind !== "ip");
  if (!kinds.length || !kinds.every((kind) => Object.hasOwn(KINDS, kind))) {
    throw new Error("kinds in the config names something that redact does not know");
  }
  return new Set(kinds);
}

/**
 * A value without what was found in it. Its place is "known" among the
 * arguments that the tool knows, "name" in a name that others use for the same
 * thing, and "free" in metadata, where members have any meaning.
 */
function cleaned(search, value, key, place) {
  if (typeof value === "string") return masked(search, value, key, place);
  if (typeof value === "number") {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) search.inexact = true;
    const text = String(value);
    const clean = masked(search, text, key, place);
    return clean === text ? value : clean;
  }
  if (Array.isArray(value)) return value.map((item) => cleaned(search, item, key, place));
  if (typeof value !== "object" || value === null) return value;
  const known = place === "known";
  const members = Object.entries(value).map(([name, member]) => {
    if (known && PLAIN.has(name)) return [name, member];
    const isName = NAMES.has(name) || (name === "name" && search.entities);
    const within = !known ? place : name === "metadata" ? "free" : isName ? "name" : place;
    return [masked(search, name, "", place), cleaned(search, member, name, within)];
  });
  return Object.fromEntries(members);
}

/** A text without what was found in it. */
function masked(search, text, key, place) {
  const label = labelled(key);
  const whole = label && secret(text, label, ":", true);
  const spans = whole ? [{ start: 0, end: text.length, kind: label.kind }] : find(text);
  let [clean, done] = ["", 0];
  for (const { start, end, kind } of spans) {
    if (!search.kinds.has(kind)) continue;
    clean += `${text.slice(done, start)}[${KINDS[kind]} removed]`;
    done = end;
    search.found.push(kind);
    if (place === "name") search.named.push(kind);
  }
  return clean + text.slice(done);
}

/**
 * Finds everything that begins with a word or a mark, from left to right; where
 * two begin, the one that stands first among DETECTORS.
 */
function find(text) {
  const spans = [];
  let ahead = DETECTORS.map((detector) => next(detector, text, 0)).filter(Boolean);
  while (ahead.length) {
    const first = ahead.reduce((a, b) => (b.at < a.at ? b : a));
    spans.push(first);
    ahead = ahead.map((span) => (span.at < first.end ? next(span.detector, text, first.end) : span)).filter(Boolean);
  }
  return spans;
}

/** The next thing of a kind from a place on. */
function next(detector, text, from) {
  const { kind, pattern, check } = detector;
  for (pattern.lastIndex = from; ; ) {
    const m = pattern.exec(text);
    if (!m) return undefined;
    const found = check ? check(m) : m[0];
    if (found) {
      const start = m.index + (m.groups?.before ?? "").length;
      return { detector, at: m.index, start, end: start + (found.text ?? found).length, kind: found.kind ?? kind };
    }
    pattern.lastIndex = m.index + 1;
  }
}

// ---- What secrets look like ----

/**
 * Joins pieces of a regular expression. Runs in a lookahead, (?=(?<run>...)), are
 * taken whole or not at all, so that the work grows with the text alone.
 */
const regexp = (parts, ...pieces) => new RegExp(String.raw(parts, ...pieces), "g");

/** What words are made of; letters of all scripts count, and so does what is no ASCII. */
const WORD = String.raw`[\w\u0080-\uffff]`;
/** Not inside of a word. */
const START = `(?:(?<!${WORD})|(?!${WORD}))`;
/** Not inside of a number, a version or a path; OPEN is what goes on with one. */
const NUMBER = String.raw`(?<!${WORD}|${WORD}[.\-+/#:=])`;
const OPEN = String.raw`(?:${WORD}|[.\-:/]${WORD})`;

/** The letters of a provider's key, of which one at least is a capital or a digit. */
const ALNUM = "(?=[a-z]*[A-Z0-9])[A-Za-z0-9]";
const URL = String.raw`(?=[a-z_-]*[A-Z0-9])[\w-]`;
const HEX = "(?=[a-f]*[0-9])[0-9a-f]";
const UPPER = "[A-Z0-9]";

/** Keys as their providers make them. */
const PROVIDERS = [
  `gh[pousr]_${ALNUM}{36,255}`, `sk-${ALNUM}{32,255}`, `(?:[sr]k_live|sk_test)_${ALNUM}{16,255}`, `whsec_${ALNUM}{24,255}`,
  `npm_${ALNUM}{36}`, `hf_${ALNUM}{30,64}`, `lin_api_${ALNUM}{32,64}`, `EAAC${ALNUM}{60,255}`, `r8_${ALNUM}{37}`,
  `dop_v1_${HEX}{64}`, `rubygems_${HEX}{48}`, `(?:shpat_|shpss_|key-|dapi|SK)${HEX}{32}`,
  `(?:AKIA|ASIA|ABIA)${UPPER}{16}`, `NRAK-${UPPER}{27}`, `AGE-SECRET-KEY-1${UPPER}{50,64}`,
  String.raw`SG\.(?=[a-z_.-]*[A-Z0-9])[\w.-]{59,79}[\w-](?!\.*[\w-])`,
  `(?:${[
    `github_pat_${URL}{40,255}`, `glpat-${URL}{20,255}`, `glsa_${URL}{32,255}`, `sk-(?:ant|proj|or)-${URL}{24,255}`,
    `(?:xox[bpas]|xapp)-${URL}{20,255}`, `AIza${URL}{35}`, `ya29\\.${URL}{20,512}`, `GOCSPX-${URL}{24,255}`, `pypi-AgE${URL}{40,512}`,
    `hvs\\.${URL}{24,255}`, `figd_${URL}{32,64}`, `tskey-${URL}{20,128}`, `sq0atp-${URL}{22}`,
  ].join("|")})(?!-)`,
].join("|");

/** Account numbers by their lengths: countries. */
const IBANS = {
  15: "NO", 16: "BE", 18: "DK FI NL", 19: "SI", 20: "AT EE LT LU", 21: "CH HR LI LV", 22: "BG DE GB IE RS", 23: "AE IL",
  24: "AD CZ ES RO SA SE SK", 25: "PT", 26: "IS TR", 27: "FR GR IT MC SM", 28: "CY HU PL", 29: "BR UA", 31: "MT",
};
const ACCOUNTS = Object.entries(IBANS).map(([length, countries]) => {
  const groups = Math.floor((length - 4) / 4), rest = (length - 4) % 4;
  return `(?:${countries.replaceAll(" ", "|")})[A-Z0-9]{2}(?: ?[A-Z0-9]{4}){${groups}}${rest ? ` ?[A-Z0-9]{${rest}}` : ""}`;
});

/**
 * What can be found, the surest first: its pattern, where the group before
 * stands before the secret itself, and a check that returns the secret.
 */
const DETECTORS = [
  {
    kind: "private_key",
    pattern: /-----BEGIN (?=(?:(?!-----)[^]){0,44}-----)(?:(?!-----)[^])*?PRIVATE KEY(?:(?!-----)[^])*-----(?:[^]*?-----END [^]*?-----|[^]*)/g,
  },
  { kind: "token", pattern: regexp`${START}eyJ[\w-]{7,2045}\.[\w-]{10,2048}\.[\w-]{10,2048}` },
  { kind: "key", pattern: regexp`${START}(?:${PROVIDERS})(?!${WORD})` },
  { kind: "token", pattern: regexp`${START}\d{8,10}:[\w-]{35}(?![\w-])` }, // of a chat bot
  {
    kind: "password", // in scheme://user:password@host
    pattern: regexp`${START}(?<before>(?<![A-Za-z0-9+-])[A-Za-z0-9+-]{1,2048}://[^ \t\n\f\r:/@?#]{0,2048}:)(?<secret>[^ \t\n\f\r@"'<>]{1,2048})(?=@)`,
    check: ({ groups: { secret } }) => !placeholder(secret) && secret,
  },
  {
    kind: "token",
    pattern: regexp`${START}(?<before>[Bb]earer |[Bb]asic )(?<secret>[\w./+=~-]{15,2047}[\w/+=~-])`,
    check: ({ groups: { secret } }) => (/\d/.test(secret) || (/[A-Z]/.test(secret) && /[a-z]/.test(secret))) && secret,
  },
  {
    // label = value, label: value, label is value, "label": "value"
    pattern: regexp`${START}(?<before>(?=(?<run>[\w.-]{1,64}))(?<name>\k<run>(?: (?:key|code)[A-Za-z]*)?)["'\x60* \\]*(?:(?!://)(?<sign>[:=])[:=>]*|(?<=["'\x60* \\])(?:is:?|was|ist)(?= )) *(?:\\*(?<quote>["'\x60]))?)`,
    check: assigned,
  },
  { kind: "iban", pattern: regexp`${START}(?=[A-Z]{2}[A-Z0-9]{2})(?:${ACCOUNTS.join("|")})(?!${WORD})`, check: account },
  { kind: "card", pattern: regexp`${NUMBER}(?=(?<run>\d{1,20}(?:[ -]\d{1,20}){0,19}))\k<run>`, check: card },
  { kind: "ssn", pattern: regexp`${NUMBER}(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?!${OPEN})` },
  { kind: "ip", pattern: regexp`${START}(?<![.\-/v:])(?=\d{1,3}\.|[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:.]{1,40}`, check: ip },
  {
    kind: "email",
    pattern: regexp`${START}(?!git@)[A-Za-z0-9][\w.!#$%&'*+/=?^{|}~-]{0,63}@[A-Za-z0-9.-]{1,2048}\.(?!(?:png|jpe?g|gif|svg|webp)(?![A-Za-z]))[A-Za-z]{2,}(?![.-]*[A-Za-z0-9])`,
  },
  {
    kind: "phone",
    pattern: regexp`(?<!${WORD}|[\-./#=+])(?<!(?<!tel):)(?=[+(]|\d\d|1[ \-./]\d)(?!\((?!\d*\)))\+?(?:\d|(?<=\d)[ \-./]){0,32}(?:\((?=\d)(?:[\d)]|(?<=[\d)])[ \-./]){0,32})?`,
    check: phone,
  },
];

// ---- Passwords by what they are called ----

/**
 * How secrets are called, without - _ . and in lower case, and what they must
 * look like: at least so long; letters alone can be one (words); digits alone.
 */
const LABELS = [
  { name: /(password|passwd|pwd|passwort)$/, kind: "password", least: 4, words: true },
  { name: /passphrase$/, kind: "password", least: 6, words: true },
  { name: /passcode$/, kind: "password", least: 4 },
  { name: /^pin$/, kind: "password", least: 4, digits: true },
  { name: /^cv[vc]$/, kind: "password", least: 3, digits: true },
  { name: /(secret|(secret|api|access|account|auth|encryption|private|signing|license)key)$/, kind: "key", least: 8 },
  { name: /token$/, kind: "token", least: 8 },
  { name: /authorization$/, kind: "token", least: 16 },
];

function labelled(name) {
  const bare = name.replace(/[-_ .]/g, "").toLowerCase();
  return LABELS.find((label) => label.name.test(bare));
}

function assigned({ input, index, groups: { before, name, sign = " ", quote } }) {
  const label = labelled(name);
  if (!label) return undefined;
  const rest = input.slice(index + before.length, index + before.length + 2048);
  // Without quotes it ends with the next field of a form, and before what ends a sentence.
  const bare = () => rest.match(/^[^ \t\n\f\r"'`,;<>)}\]|]*/)[0].replace(/&[\w\u0080-\uffff]*=[^]*/, "").replace(/(?<![.:])[.:]+$/, "");
  const text = quote ? rest.match(/^[^\n\\]*/)[0].split(quote)[0] : bare();
  return secret(text, label, sign, quote !== undefined) && { text, kind: label.kind };
}

/** Whether a value can be what the label says, after that sign. */
function secret(value, label, sign, quoted) {
  const digits = /\d/.test(value), number = /^\d+$/.test(value);
  if (label.digits) return number && value.length >= label.least && value.length <= 8;
  if (size(value) < label.least || placeholder(value)) return false;
  const mixed = /[^][A-Z]/.test(value) && /[a-z]/.test(value);
  // A key or token is a random string: no number, no word, no phrase.
  if (!label.words) return ((digits && !number) || mixed) && !value.includes(" ");
  return digits || mixed || /[!@#$%^&*+/=~?]/.test(value) || (quoted && /^[\w\u0080-\uffff -]*$/.test(value)) || sign === "=";
}

/** The bytes of a text in UTF-8. */
const size = (text) => text.length + (text.match(/[\u0080-\uffff]/g)?.length ?? 0) + (text.match(/[\u0800-\ud7ff\ue000-\uffff]/g)?.length ?? 0);

/** Whether a value is what stands where a secret would: a variable, a type, a mask, a marker. */
function placeholder(value) {
  return (
    /^(none|null|nil|true|false|string|str|text|required|optional|undefined|empty|missing|unknown|changed|expired|invalid)$/i.test(value) ||
    /^(redacted|secret|password|token|incorrect|wrong|rotated|stored|hidden|your.*|process\.env.*|os\.environ.*)$/is.test(value) ||
    /^([<{[(%]|\$($|[{A-Z]))|\(|^[*x._-]*$|^\d{4}-\d\d-\d\d/.test(value) ||
    /^[A-Za-z_]*\.[A-Za-z._]*$/.test(value) // config.db.password
  );
}

// ---- Numbers with a checksum ----

const ISSUED = /^(4\d{12}(\d{3}|\d{6})?|62\d{17}|30[0-5]\d{11}|3[68]\d{12}|3[47]\d{13}|(5[1-5]|6[25])\d{14}|(222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720|352[89]|35[3-8]\d|6011|64[4-9]\d)\d{12})$/;
const GROUPED = /^(\d+|(\d{4}[ -]){3,}\d{1,4}|\d{4}[ -]\d{6}[ -]\d{4,5})$/;

const GOES_ON = new RegExp(`^(?:[ -]\\d|${OPEN})`);

/** What comes after a space may be another number, such as the month in which a card expires. */
function card({ 0: run, input, index }) {
  if (!/^(\d{4}[ -]|\d{13})/.test(run)) return undefined;
  const shorter = (text) => text.slice(0, Math.max(0, text.lastIndexOf(" ")));
  const after = index + run.length;
  for (let text = GOES_ON.test(input.slice(after, after + 4)) ? shorter(run) : run; text; text = shorter(text)) {
    if (isCard(text)) return text;
  }
}

function isCard(text) {
  const number = text.replace(/[ -]/g, "");
  if (!GROUPED.test(text) || !ISSUED.test(number)) return false;
  const digits = [...number].reverse().map((d, i) => d * (1 + (i % 2)));
  return digits.reduce((sum, n) => sum + (n > 9 ? n - 9 : n), 0) % 10 === 0;
}

function account([text]) {
  const bare = text.replaceAll(" ", "");
  const digits = [...bare.slice(4), ...bare.slice(0, 4)].map((letter) => parseInt(letter, 36));
  return BigInt(digits.join("")) % 97n === 1n && text;
}

// ---- Addresses ----

const IPV4 = /^((25[0-5]|2[0-4]\d|[01]?\d?\d)(\.(?=\d)|$)){4}$/;
const NEXT_IS_WORD = new RegExp(`^${WORD}`);
const NEXT_IS_OPEN = new RegExp(`^${OPEN}`);

function ip({ 0: run, input, index }) {
  const text = run.replace(/[:.]+$/, "");
  const groups = text.split(":");
  const short = groups.filter((group) => !group).length === 1; // it has ::
  const long = groups.length === 8 ? !short : groups.length >= 4 && groups.length < 8 && short;
  const whole = IPV4.test(text) || (long && groups.every((group) => group.length <= 4 && !group.includes(".")));
  return whole && !NEXT_IS_WORD.test(input.slice(index + text.length)) && text;
}

function phone({ 0: run, input, index }) {
  run = run.slice(0, 32);
  const text = run.replace(/\D+$/, "");
  const groups = (text.match(/\d+/g) ?? []).map((group) => group.length);
  const after = index + text.length;
  if (!groups.length || NEXT_IS_OPEN.test(input.slice(after, after + 2))) return undefined;
  const total = groups.reduce((a, b) => a + b);
  const between = (n, least, most) => n >= least && n <= most;
  const [most, ...rest] = groups;
  const form = groups.join("-");
  const digits = text.replace(/^\D+/, ""); // and what stands between them
  const whole = () => {
    if (text[0] === "+") {
      return digits[0] !== "0" && between(total, 9, 15) && (rest.length > 0 || total >= 10) && rest.every((n) => n >= 2 || total >= 11);
    }
    if (run.includes("(")) return (rest.length > 0 && between(total, 9, 12) && between(most, 3, 5)) || form === "3-3-4";
    if (digits[0] !== "0") return (form === "3-3-4" && digits[0] !== "1") || (form === "1-3-3-4" && digits[0] === "1");
    if (digits[1] === "0") return digits[2] !== "0" && rest.length > 0 && between(total, 11, 15);
    // As it is dialled within a country that puts 0 first.
    return form === "2-2-2-2-2" || (between(rest.length, 1, 4) && between(most, 3, 5) && between(total, 9, 12) && rest.every((n) => n >= 2));
  };
  return whole() && text;
}
