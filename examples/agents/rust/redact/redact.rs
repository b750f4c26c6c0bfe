//! redact: takes secrets and personal data out of what is about to be written,
//! or refuses it.
//!
//! mask, a hook before tools that write: every text in the arguments, in
//! metadata too, is searched, and what is found becomes a marker such as
//! "[password removed]". Where a marker would mix things up, in the names of
//! contexts and the like, the call is refused.
//!
//! config: "mode" "redact" (default) or "refuse"; "kinds", which of KINDS to
//! look for, all but ip if absent.

#![crate_type = "cdylib"]

#[path = "../engram.rs"]
mod engram;
use engram::{actions, object, Json, Result};

actions! { tool_mask => mask }

/// What can be found, and how a person calls it.
const KINDS: &[(&str, &str)] = &[
    ("private_key", "private key"),
    ("key", "API key"),
    ("token", "token"),
    ("password", "password"),
    ("card", "card number"),
    ("iban", "bank account"),
    ("ssn", "social security number"),
    ("email", "e-mail address"),
    ("phone", "phone number"),
    ("ip", "IP address"),
];

/// Where in the arguments of a call a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Among the arguments that the tool knows.
    Known,
    /// In a name that others use for the same thing.
    Name,
    /// In metadata, where members have any meaning.
    Free,
}

/// Known members that hold ids and times, which only look like something else.
const PLAIN: &[&str] = &["id", "ids", "to", "from", "valid_from", "valid_to"];

/// Known members that name what others name the same way.
const NAMES: &[&str] = &["context", "collections", "kind", "relation", "relationType", "entityType", "entityName"];

fn mask(mut params: Json) -> Result<Json> {
    let mut args = params.take("args");
    let entities = params["tool"].as_str() == "create_entities"; // whose names are contexts
    let mut search = Search { kinds: wanted()?, entities, found: Vec::new(), named: Vec::new() };
    search.json(&mut args, "", Place::Known);
    let refused = if engram::config("mode").as_str() == "refuse" { &search.found } else { &search.named };
    if let Some(first) = refused.first() {
        let what = called(first);
        let article = if what.starts_with(['a', 'e', 'A', 'E', 'I']) { "an" } else { "a" };
        return engram::refuse(&format!("it holds {} {}: leave that out", article, what));
    }
    if search.found.is_empty() {
        return Ok(object! {});
    }
    engram::go_on(args)
}

fn wanted() -> Result<Vec<&'static str>> {
    let asked = engram::config("kinds");
    if asked.is_null() {
        return Ok(KINDS.iter().map(|k| k.0).filter(|k| *k != "ip").collect());
    }
    let kinds: Vec<_> = KINDS.iter().map(|k| k.0).filter(|k| asked.list().iter().any(|a| a.as_str() == *k)).collect();
    if kinds.len() < asked.list().len() || kinds.is_empty() {
        return Err("kinds in the config names something that redact does not know".into());
    }
    Ok(kinds)
}

fn called(kind: &str) -> &'static str {
    KINDS.iter().find(|k| k.0 == kind).map_or("secret", |k| k.1)
}

/// A search through the arguments of a call.
struct Search {
    kinds: Vec<&'static str>,
    entities: bool,
    found: Vec<&'static str>,
    /// What was found in a name.
    named: Vec<&'static str>,
}

impl Search {
    /// Looks through the value of a member, and takes out what it finds.
    fn json(&mut self, value: &mut Json, key: &str, place: Place) {
        match value {
            Json::Text(s) => {
                if let Some(clean) = self.text(s, key, place) {
                    *s = clean;
                }
            }
            Json::Number(n) => {
                if let Some(clean) = self.text(&n.clone(), key, place) {
                    *value = Json::Text(clean);
                }
            }
            Json::List(list) => list.iter_mut().for_each(|v| self.json(v, key, place)),
            Json::Object(members) => {
                for (k, v) in members {
                    let known = place == Place::Known;
                    if known && PLAIN.contains(&k.as_str()) {
                        continue;
                    }
                    let within = match k.as_str() {
                        "metadata" if known => Place::Free,
                        "name" if known && self.entities => Place::Name,
                        k if known && NAMES.contains(&k) => Place::Name,
                        _ => place,
                    };
                    self.json(v, k, within);
                    if let Some(clean) = self.text(&k.clone(), "", place) {
                        *k = clean;
                    }
                }
            }
            _ => {}
        }
    }

    /// The text without what was found in it, or None if that is nothing.
    fn text(&mut self, text: &str, key: &str, place: Place) -> Option<String> {
        let mut spans = Vec::new();
        if let Some(kind) = labelled(key).filter(|l| secret(text.as_bytes(), l, b':', true)).map(|l| l.kind) {
            spans.push(Span { start: 0, end: text.len(), kind });
        } else {
            find(text.as_bytes(), &mut spans);
        }
        spans.retain(|s| self.kinds.contains(&s.kind));
        if spans.is_empty() {
            return None;
        }
        let (mut clean, mut done) = (String::new(), 0);
        for s in spans {
            clean += &text[done..s.start];
            clean += &format!("[{} removed]", called(s.kind));
            done = (s.end..).find(|i| text.is_char_boundary(*i)).unwrap_or(s.end);
            self.found.push(s.kind);
            if place == Place::Name {
                self.named.push(s.kind);
            }
        }
        Some(clean + &text[done..])
    }
}

/// Something found in a text.
struct Span {
    start: usize,
    end: usize,
    kind: &'static str,
}

/// Finds everything that begins with a word or a mark, from left to right.
fn find(t: &[u8], spans: &mut Vec<Span>) {
    let mut at = 0;
    while at < t.len() {
        let inside = at > 0 && word(t[at - 1]) && word(t[at]);
        let next = if inside { None } else { DETECTORS.iter().find_map(|detect| detect(t, at)) };
        match next {
            Some(span) => {
                at = span.end;
                spans.push(span);
            }
            None => at += 1,
        }
    }
}

/// What may begin at a place, the surest first.
const DETECTORS: &[Detector] = &[private_key, jwt, provider_key, bot_token, url_password, bearer, assigned, iban, card, ssn, ip, email, phone];

/// Finds what it knows at a place in a text, and nowhere else.
type Detector = fn(&[u8], usize) -> Option<Span>;

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

fn base64url(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

fn get(t: &[u8], at: usize) -> u8 {
    t.get(at).copied().unwrap_or(b' ')
}

/// How many bytes from a place on satisfy f. It looks at no more than any
/// secret is long, so that the work grows with the text and not its square.
fn run(t: &[u8], at: usize, f: impl Fn(u8) -> bool) -> usize {
    t.iter().skip(at).take(LONGEST).take_while(|b| f(**b)).count()
}

const LONGEST: usize = 2048;

fn starts(t: &[u8], at: usize, s: &str) -> bool {
    t[at.min(t.len())..].starts_with(s.as_bytes())
}

fn index(t: &[u8], from: usize, s: &str) -> Option<usize> {
    (from..t.len()).find(|i| starts(t, *i, s))
}

// ---- Keys and tokens ----

fn private_key(t: &[u8], at: usize) -> Option<Span> {
    if !starts(t, at, "-----BEGIN ") {
        return None;
    }
    let label = index(&t[..t.len().min(at + 60)], at + 11, "-----")?;
    index(&t[..label], at, "PRIVATE KEY")?;
    let end = match index(t, label + 5, "-----END ") {
        Some(last) => index(t, last + 9, "-----").map_or(t.len(), |e| e + 5),
        None => t.len(), // it was cut off
    };
    Some(Span { start: at, end, kind: "private_key" })
}

fn jwt(t: &[u8], at: usize) -> Option<Span> {
    let mut end = at;
    if !starts(t, at, "eyJ") {
        return None;
    }
    for part in 0..3 {
        let n = run(t, end, base64url);
        if n < 10 || part < 2 && get(t, end + n) != b'.' {
            return None;
        }
        end += n + (part < 2) as usize;
    }
    Some(Span { start: at, end, kind: "token" })
}

/// The kinds of letters of a provider's keys.
type Letters = fn(u8) -> bool;
const ALNUM: Letters = |b| b.is_ascii_alphanumeric();
const UPPER: Letters = |b| b.is_ascii_uppercase() || b.is_ascii_digit();
const HEX: Letters = |b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
const URL: Letters = base64url;
const DOTTED: Letters = |b| base64url(b) || b == b'.';

/// How keys begin, the least and the most letters that follow, and which.
const PROVIDERS: &[(&str, usize, usize, Letters)] = &[
    ("AKIA", 16, 16, UPPER), ("ASIA", 16, 16, UPPER), ("ABIA", 16, 16, UPPER),
    ("ghp_", 36, 255, ALNUM), ("gho_", 36, 255, ALNUM), ("ghu_", 36, 255, ALNUM), ("ghs_", 36, 255, ALNUM), ("ghr_", 36, 255, ALNUM),
    ("github_pat_", 40, 255, URL), ("glpat-", 20, 255, URL), ("glsa_", 32, 255, URL),
    ("sk-ant-", 24, 255, URL), ("sk-proj-", 24, 255, URL), ("sk-or-", 24, 255, URL), ("sk-", 32, 255, ALNUM),
    ("sk_live_", 16, 255, ALNUM), ("sk_test_", 16, 255, ALNUM), ("rk_live_", 16, 255, ALNUM), ("whsec_", 24, 255, ALNUM),
    ("xoxb-", 20, 255, URL), ("xoxp-", 20, 255, URL), ("xoxa-", 20, 255, URL), ("xoxs-", 20, 255, URL), ("xapp-", 20, 255, URL),
    ("AIza", 35, 35, URL), ("ya29.", 20, 512, URL), ("GOCSPX-", 24, 255, URL), ("SG.", 60, 80, DOTTED),
    ("npm_", 36, 36, ALNUM), ("pypi-AgE", 40, 512, URL), ("hf_", 30, 64, ALNUM), ("dop_v1_", 64, 64, HEX), ("rubygems_", 48, 48, HEX),
    ("shpat_", 32, 32, HEX), ("shpss_", 32, 32, HEX), ("key-", 32, 32, HEX), ("dapi", 32, 32, HEX), ("SK", 32, 32, HEX),
    ("hvs.", 24, 255, URL), ("lin_api_", 32, 64, ALNUM), ("figd_", 32, 64, URL), ("tskey-", 20, 128, URL), ("NRAK-", 27, 27, UPPER),
    ("AGE-SECRET-KEY-1", 50, 64, UPPER), ("sq0atp-", 22, 22, URL), ("EAAC", 60, 255, ALNUM), ("r8_", 37, 37, ALNUM),
];

fn provider_key(t: &[u8], at: usize) -> Option<Span> {
    PROVIDERS.iter().find_map(|(prefix, least, most, letter)| {
        if !starts(t, at, prefix) {
            return None;
        }
        let from = at + prefix.len();
        let n = run(t, from, letter);
        let n = n - t[from..from + n].iter().rev().take_while(|b| **b == b'.').count();
        let body = &t[from..from + n];
        let random = body.iter().any(u8::is_ascii_digit) || body.iter().any(u8::is_ascii_uppercase);
        let whole = n >= *least && n <= *most && !word(get(t, from + n)) && random;
        whole.then_some(Span { start: at, end: from + n, kind: "key" })
    })
}

/// The tokens of chat bots: digits, a colon, 35 letters.
fn bot_token(t: &[u8], at: usize) -> Option<Span> {
    let id = run(t, at, |b| b.is_ascii_digit());
    if !(8..=10).contains(&id) || get(t, at + id) != b':' {
        return None;
    }
    let n = run(t, at + id + 1, base64url);
    (n == 35).then_some(Span { start: at, end: at + id + 36, kind: "token" })
}

/// The password in scheme://user:password@host.
fn url_password(t: &[u8], at: usize) -> Option<Span> {
    let scheme = run(t, at, |b| b.is_ascii_alphanumeric() || b == b'+' || b == b'-');
    if scheme == 0 || !starts(t, at + scheme, "://") {
        return None;
    }
    let user = at + scheme + 3;
    let colon = user + run(t, user, |b| !b.is_ascii_whitespace() && !b":/@?#".contains(&b));
    let end = (colon + 1).min(t.len());
    let n = run(t, end, |b| !b.is_ascii_whitespace() && !b"@\"'<>".contains(&b));
    let named = get(t, colon) == b':' && get(t, end + n) == b'@' && !placeholder(&t[end..end + n]);
    (named && n > 0).then_some(Span { start: end, end: end + n, kind: "password" })
}

fn bearer(t: &[u8], at: usize) -> Option<Span> {
    let scheme = ["Bearer ", "bearer ", "Basic ", "basic "].iter().find(|s| starts(t, at, s))?;
    let from = at + scheme.len();
    let n = run(t, from, |b| base64url(b) || b"./+=~".contains(&b));
    let n = n - t[from..from + n].iter().rev().take_while(|b| **b == b'.').count();
    let body = &t[from..from + n];
    let random = body.iter().any(u8::is_ascii_digit) || body.iter().any(u8::is_ascii_uppercase) && body.iter().any(u8::is_ascii_lowercase);
    (n >= 16 && random).then_some(Span { start: from, end: from + n, kind: "token" })
}

// ---- Passwords by what they are called ----

/// How a secret is called, and what it must look like.
struct Label {
    name: &'static str,
    kind: &'static str,
    least: usize,
    /// Letters alone can be one.
    words: bool,
    /// It has nothing but digits.
    digits: bool,
}

const fn label(name: &'static str, kind: &'static str, least: usize, words: bool, digits: bool) -> Label {
    Label { name, kind, least, words, digits }
}

/// What a label ends with, without - _ and in lower case.
const LABELS: &[Label] = &[
    label("password", "password", 4, true, false), label("passwd", "password", 4, true, false), label("pwd", "password", 4, true, false),
    label("passphrase", "password", 6, true, false), label("passcode", "password", 4, false, false), label("passwort", "password", 4, true, false),
    label("pin", "password", 4, false, true), label("cvv", "password", 3, false, true), label("cvc", "password", 3, false, true),
    label("secret", "key", 8, false, false), label("secretkey", "key", 8, false, false), label("apikey", "key", 8, false, false),
    label("accesskey", "key", 8, false, false), label("accountkey", "key", 8, false, false), label("authkey", "key", 8, false, false),
    label("encryptionkey", "key", 8, false, false), label("privatekey", "key", 8, false, false), label("signingkey", "key", 8, false, false),
    label("licensekey", "key", 8, false, false), label("token", "token", 8, false, false), label("authorization", "token", 16, false, false),
];

fn labelled(name: &str) -> Option<&'static Label> {
    let name: String = name.chars().filter(|c| !"-_ .".contains(*c)).collect::<String>().to_ascii_lowercase();
    LABELS.iter().find(|l| if l.digits { name == l.name } else { name.ends_with(l.name) })
}

/// label = value, label: value, label is value, "label": "value".
fn assigned(t: &[u8], at: usize) -> Option<Span> {
    let mut name_end = at + run(&t[..t.len().min(at + 64)], at, |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if starts(t, name_end, " key") || starts(t, name_end, " code") {
        name_end += 1 + run(t, name_end + 1, |b| b.is_ascii_alphabetic()); // "API key", "pass code"
    }
    let l = labelled(std::str::from_utf8(&t[at..name_end]).ok().filter(|n| n.len() >= 3)?)?;
    let mut i = name_end + run(t, name_end, |b| b"\"'`* \\".contains(&b));
    let sign = get(t, i);
    if (sign == b':' || sign == b'=') && !starts(t, i, "://") {
        i += run(t, i, |b| b":=>".contains(&b));
    } else if i > name_end && ["is ", "is: ", "was ", "ist "].iter().any(|s| starts(t, i, s)) {
        i += run(t, i, |b| b != b' ');
    } else {
        return None;
    }
    i += run(t, i, |b| b == b' ');
    let quote = i + run(t, i, |b| b == b'\\');
    let quoted = b"\"'`".contains(&get(t, quote));
    let start = if quoted { quote + 1 } else { i };
    let stop = get(t, quote);
    let n = run(t, start, |b| if quoted { b != stop && b != b'\n' && b != b'\\' } else { !b.is_ascii_whitespace() && !b"\"'`,;<>)}]|".contains(&b) });
    let n = if quoted { n } else { unquoted(&t[start..start + n]) };
    let value = &t[start.min(t.len())..start + n];
    let sign = if sign == b'=' || sign == b':' { sign } else { b' ' };
    secret(value, l, sign, quoted).then_some(Span { start, end: start + n, kind: l.kind })
}

/// How long a value without quotes is: up to the next field of a form, and
/// without what ends a sentence.
fn unquoted(value: &[u8]) -> usize {
    let field = |i: &usize| value[*i] == b'&' && get(value, i + 1 + run(value, i + 1, word)) == b'=';
    let n = (0..value.len()).find(field).unwrap_or(value.len());
    n - value[..n].iter().rev().take_while(|b| b".:".contains(b)).count()
}

/// Whether a value can be what the label says, after that sign.
fn secret(value: &[u8], l: &Label, sign: u8, quoted: bool) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    if l.digits {
        return digits == value.len() && digits >= l.least && digits <= 8;
    }
    if value.len() < l.least || placeholder(value) {
        return false;
    }
    let upper = value.iter().skip(1).any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
    let mark = value.iter().any(|b| b"!@#$%^&*+/=~?".contains(b));
    match l.words {
        // A key or token is a random string: no number, no word, no phrase.
        false => (digits > 0 && digits < value.len() || upper) && !value.contains(&b' '),
        true => digits > 0 || upper || mark || quoted && value.iter().all(|b| word(*b) || *b == b'-' || *b == b' ') || sign == b'=',
    }
}

/// What stands where a secret would: a variable, a type, a mask, a marker.
fn placeholder(value: &[u8]) -> bool {
    const WORDS: &[&str] = &[
        "none", "null", "nil", "true", "false", "string", "str", "text", "required", "optional", "undefined", "empty", "missing", "unknown", "changed",
        "expired", "invalid", "redacted", "secret", "password", "token", "incorrect", "wrong", "rotated", "stored", "hidden",
    ];
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let first = get(value, 0);
    WORDS.contains(&text.as_str())
        || b"$<{[(%".contains(&first) && (first != b'$' || value.len() < 2 || value[1] == b'{' || value[1].is_ascii_uppercase())
        || text.contains('(')
        || text.starts_with("your") || text.starts_with("process.env") || text.starts_with("os.environ")
        || value.iter().all(|b| b"*x.-_".contains(b))
        || value.contains(&b'.') && value.iter().all(|b| b.is_ascii_alphabetic() || b"._".contains(b)) // config.db.password
        || date(value)
}

fn date(t: &[u8]) -> bool {
    t.len() >= 10 && t[4] == b'-' && t[7] == b'-' && [0, 1, 2, 3, 5, 6, 8, 9].iter().all(|i| t[*i].is_ascii_digit())
}

// ---- Numbers with a checksum ----

/// Digits in groups with one separator between.
struct Digits {
    all: Vec<u8>,
    groups: Vec<usize>, // their lengths
    ends: Vec<usize>,   // the places after them
    open: bool,         // more of a number or a word stands right after
}

/// The digits from a place on, to their end. Nothing of a number may stand right
/// before.
fn digits(t: &[u8], at: usize, separators: &[u8]) -> Option<Digits> {
    if at > 0 && (word(t[at - 1]) || b".-+/#:=".contains(&t[at - 1]) && at > 1 && word(t[at - 2])) || !get(t, at).is_ascii_digit() {
        return None;
    }
    let (mut d, mut end) = (Digits { all: Vec::new(), groups: Vec::new(), ends: Vec::new(), open: false }, at);
    while d.all.len() < 20 {
        let n = run(t, end, |b| b.is_ascii_digit());
        d.all.extend_from_slice(&t[end..end + n]);
        d.groups.push(n);
        end += n;
        d.ends.push(end);
        if !separators.contains(&get(t, end)) || end >= t.len() || !get(t, end + 1).is_ascii_digit() {
            break;
        }
        end += 1;
    }
    let after = get(t, end);
    d.open = word(after) || b".-:/".contains(&after) && word(get(t, end + 1));
    Some(d)
}

/// A card number; what comes after a space may be another number, such as the
/// month in which it expires.
fn card(t: &[u8], at: usize) -> Option<Span> {
    let d = digits(t, at, b" -")?;
    (1..=d.groups.len()).rev().find_map(|n| {
        let end = d.ends[n - 1];
        let whole = n == d.groups.len() && !d.open || n < d.groups.len() && t[end] == b' ';
        (whole && is_card(&d.all[..d.groups[..n].iter().sum()], &d.groups[..n])).then_some(Span { start: at, end, kind: "card" })
    })
}

fn is_card(d: &[u8], groups: &[usize]) -> bool {
    let grouped = groups.len() == 1
        || groups.len() >= 4 && groups[..groups.len() - 1].iter().all(|g| *g == 4) && groups[groups.len() - 1] <= 4
        || groups == [4, 6, 5] || groups == [4, 6, 4];
    let number = |n: usize| d.iter().take(n).fold(0, |sum, b| sum * 10 + (b - b'0') as usize);
    let issued = match d.len() {
        13 | 19 => number(1) == 4 || d.len() == 19 && number(2) == 62,
        14 => matches!(number(3), 300..=305) || matches!(number(2), 36 | 38),
        15 => matches!(number(2), 34 | 37),
        16 => number(1) == 4 || matches!(number(2), 51..=55 | 62 | 65) || matches!(number(4), 2221..=2720 | 3528..=3589 | 6011 | 6440..=6499),
        _ => false,
    };
    let sum: usize = d.iter().rev().enumerate().map(|(i, b)| match (b - b'0') as usize * (1 + i % 2) { n if n > 9 => n - 9, n => n }).sum();
    grouped && issued && sum % 10 == 0
}

/// Countries and the lengths of their account numbers.
const IBANS: &[(&str, usize)] = &[
    ("AD", 24), ("AE", 23), ("AT", 20), ("BE", 16), ("BG", 22), ("BR", 29), ("CH", 21), ("CY", 28), ("CZ", 24), ("DE", 22), ("DK", 18), ("EE", 20),
    ("ES", 24), ("FI", 18), ("FR", 27), ("GB", 22), ("GR", 27), ("HR", 21), ("HU", 28), ("IE", 22), ("IL", 23), ("IS", 26), ("IT", 27), ("LI", 21),
    ("LT", 20), ("LU", 20), ("LV", 21), ("MC", 27), ("MT", 31), ("NL", 18), ("NO", 15), ("PL", 28), ("PT", 25), ("RO", 24), ("RS", 22), ("SA", 24),
    ("SE", 24), ("SI", 19), ("SK", 24), ("SM", 27), ("TR", 26), ("UA", 29),
];

fn iban(t: &[u8], at: usize) -> Option<Span> {
    let (_, length) = IBANS.iter().find(|(country, _)| starts(t, at, country))?;
    let (mut found, mut end) = (Vec::new(), at);
    while found.len() < *length {
        match get(t, end) {
            b' ' if found.len() % 4 == 0 && get(t, end + 1) != b' ' => {}
            b if b.is_ascii_uppercase() || b.is_ascii_digit() => found.push(b),
            _ => return None,
        }
        end += 1;
    }
    let rest = found[4..].iter().chain(&found[..4]).fold(0, |rest: u32, b| match b {
        b'0'..=b'9' => (rest * 10 + (b - b'0') as u32) % 97,
        _ => (rest * 100 + (b - b'A') as u32 + 10) % 97,
    });
    (rest == 1 && !word(get(t, end))).then_some(Span { start: at, end, kind: "iban" })
}

fn ssn(t: &[u8], at: usize) -> Option<Span> {
    let Digits { all: d, groups, ends, open } = digits(t, at, b"-")?;
    let issued = groups == [3, 2, 4] && !starts(&d, 0, "000") && !starts(&d, 0, "666") && d[0] != b'9' && &d[3..5] != b"00" && &d[5..] != b"0000";
    (issued && !open).then(|| Span { start: at, end: ends[2], kind: "ssn" })
}

// ---- Addresses ----

fn ip(t: &[u8], at: usize) -> Option<Span> {
    let end = at + run(&t[..t.len().min(at + 40)], at, |b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
    let end = end - t[at..end].iter().rev().take_while(|b| b":.".contains(b)).count();
    let text = std::str::from_utf8(&t[at..end]).ok()?;
    let parts: Vec<&str> = text.split('.').collect();
    let v4 = parts.len() == 4 && parts.iter().all(|p| p.len() <= 3 && p.parse::<u32>().map_or(false, |n| n < 256));
    let groups: Vec<&str> = text.split(':').collect();
    let short = groups.iter().filter(|g| g.is_empty()).count() == 1;
    let v6 = (groups.len() == 8 && !short || groups.len() >= 4 && groups.len() < 8 && short) && groups.iter().all(|g| g.len() <= 4 && !g.contains('.'));
    let free = at == 0 || !b".-/v:".contains(&t[at - 1]);
    (free && (v4 || v6) && !word(get(t, end))).then_some(Span { start: at, end, kind: "ip" })
}

fn email(t: &[u8], at: usize) -> Option<Span> {
    let n = run(&t[..t.len().min(at + 66)], at, |b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_{|}~-".contains(&b));
    if n == 0 || n > 64 || get(t, at + n) != b'@' || !t[at].is_ascii_alphanumeric() || &t[at..at + n] == b"git" {
        return None;
    }
    let domain = at + n + 1;
    let end = domain + run(t, domain, |b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    let end = end - t[domain..end].iter().rev().take_while(|b| b".-".contains(b)).count();
    let dot = t[domain..end].iter().rposition(|b| *b == b'.').filter(|d| *d > 0)?;
    let last = &t[domain + dot + 1..end];
    let file = [&b"png"[..], b"jpg", b"jpeg", b"gif", b"svg", b"webp"].contains(&last);
    (last.len() >= 2 && last.iter().all(u8::is_ascii_alphabetic) && !file).then_some(Span { start: at, end, kind: "email" })
}

fn phone(t: &[u8], at: usize) -> Option<Span> {
    if at > 0 && (word(t[at - 1]) || b"-./#=:+".contains(&t[at - 1]) && !(t[at - 1] == b':' && starts(t, at.saturating_sub(4), "tel:"))) {
        return None;
    }
    let (mut groups, mut end) = (vec![0], at);
    let plus = get(t, at) == b'+';
    let mut bracket = false;
    if get(t, at) == b'(' && get(t, at + 1 + run(t, at + 1, |b| b.is_ascii_digit())) != b')' {
        return None; // a bracket around something else
    }
    let mut i = at + plus as usize;
    while i < t.len().min(at + 32) {
        match t[i] {
            b'0'..=b'9' => {
                let last = groups.len() - 1;
                groups[last] += 1;
                end = i + 1;
            }
            b'(' if !bracket && get(t, i + 1).is_ascii_digit() => bracket = true,
            b')' if bracket => {}
            b' ' | b'-' | b'.' | b'/' if i > at && (t[i - 1].is_ascii_digit() || t[i - 1] == b')') => {}
            _ => break,
        }
        if !t[i].is_ascii_digit() && groups[groups.len() - 1] > 0 {
            groups.push(0);
        }
        i += 1;
    }
    groups.retain(|g| *g > 0);
    let open = word(get(t, end)) || b".-:/".contains(&get(t, end)) && word(get(t, end + 1));
    let first = t[at..end.max(at)].iter().position(u8::is_ascii_digit).map(|p| at + p)?;
    let total: usize = groups.iter().sum();
    let whole = match () {
        _ if open || groups.is_empty() => false,
        _ if plus => t[first] != b'0' && (9..=15).contains(&total) && (groups.len() > 1 || total >= 10) && groups.iter().skip(1).all(|g| *g >= 2 || total >= 11),
        _ if bracket => groups.len() >= 2 && (9..=12).contains(&total) && (3..=5).contains(&groups[0]) || groups == [3, 3, 4],
        _ if t[first] == b'0' => national(&groups, total) && get(t, first + 1) != b'0' || starts(t, first, "00") && get(t, first + 2) != b'0' && groups.len() > 1 && (11..=15).contains(&total),
        _ => groups == [3, 3, 4] && b"23456789".contains(&t[first]) || groups == [1, 3, 3, 4] && t[first] == b'1',
    };
    whole.then_some(Span { start: at, end, kind: "phone" })
}

/// The groups of a number as it is dialled within a country that puts 0 first.
fn national(groups: &[usize], total: usize) -> bool {
    groups == [2, 2, 2, 2, 2] || groups.len() >= 2 && groups.len() <= 5 && (3..=5).contains(&groups[0]) && (9..=12).contains(&total) && groups[1..].iter().all(|g| *g >= 2)
}
