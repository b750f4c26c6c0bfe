//! contradict: finds what a new engram disagrees with, and says which of the
//! two holds.
//!
//! check, a hook after engram_create: a sentence such as "Ada's manager is Ben",
//! "Ada moved to Ghent" or "Ada does not eat meat" is read as a claim: a
//! subject, an attribute of which there is one, and a value. Older claims about
//! the same subject and attribute with another value are linked `contradicts`;
//! if time, trust and confidence allow, `supersedes` too, and the older one
//! ends with valid_to. What cannot be read this way is left alone: a claim that
//! is missed costs less than one that is made up.
//!
//! config: "supersede" false only links; "min_confidence" of what may
//! supersede; "most", how many engrams of a batch are looked at.

#![crate_type = "cdylib"]

#[path = "../engram.rs"]
mod engram;
#[path = "../text.rs"]
mod text;
use engram::{actions, object, Engram, Json, Link, Query, Result};
use text::{capital, lower, sentences, stem};

actions! { tool_check => check }

fn check(params: Json) -> Result<Json> {
    let most = engram::config("most").number().unwrap_or(50.0) as usize;
    let made = params["result"]["engrams"].list().iter().filter(|e| e["duplicate"].bool() != Some(true));
    let ids: Vec<String> = made.map(|e| e["id"].text()).take(most).collect();
    if ids.is_empty() {
        return Ok(object! {});
    }
    let mut seen: Vec<(Engram, Vec<Claim>)> = Vec::new();
    let mut told = Vec::new();
    for new in engram::get(&ids, false)? {
        let claims = read(&new);
        if !claims.is_empty() {
            for old in candidates(&new, &claims, &seen, &ids)? {
                told.extend(settle(&new, &old)?);
            }
        }
        seen.push((new, claims));
    }
    if told.is_empty() {
        return Ok(object! {});
    }
    engram::give(object! { "annotation" => object! { "contradictions" => told } })
}

/// The engrams whose claims a new one contradicts, of those that a search finds
/// and of those before it in its batch, whose ids are given.
fn candidates(new: &Engram, claims: &[Claim], seen: &[(Engram, Vec<Claim>)], batch: &[String]) -> Result<Vec<Engram>> {
    let mut queries = vec![new.content.clone()];
    for c in claims.iter().filter(|c| c.attribute != DOES) {
        queries.push(format!("{} {}", c.subject.split('@').next().unwrap_or(""), c.attribute));
    }
    let mut found: Vec<Engram> = Vec::new();
    for (old, theirs) in seen {
        if disagree(new, claims, old, theirs) {
            found.push(old.clone());
        }
    }
    for query in queries {
        // What is about the same subject has its words.
        for old in engram::search(&Query { query, limit: 40, mode: "text".into(), ..Query::default() })? {
            let known = batch.contains(&old.id) || found.iter().any(|e| e.id == old.id);
            if !known && disagree(new, claims, &old, &read(&old)) {
                found.push(old);
            }
        }
    }
    Ok(found)
}

/// Whether two engrams that may hold at one time contradict each other.
fn disagree(a: &Engram, ours: &[Claim], b: &Engram, theirs: &[Claim]) -> bool {
    let (first, last) = if clock(a.time()) < clock(b.time()) { (a, b) } else { (b, a) };
    let over = !first.valid_to.is_empty() && clock(&first.valid_to) <= clock(last.time());
    !over && ours.iter().any(|x| theirs.iter().any(|y| (x.named || a.context == b.context) && x.against(y)))
}

/// Links two engrams that contradict each other, ends the older one, and says
/// what was done.
fn settle(new: &Engram, old: &Engram) -> Result<Option<Json>> {
    let same_time = !new.valid_from.is_empty() && clock(new.time()) == clock(old.time());
    let (last, first) = if clock(new.time()) < clock(old.time()) { (old, new) } else { (new, old) };
    let least = engram::config("min_confidence").number().unwrap_or(0.5);
    let trusted = last.trust == "user" || first.trust != "user";
    let replaces = engram::config("supersede").bool() != Some(false) && !same_time && trusted && last.confidence >= least;
    let mut links = vec![Link::new(&last.id, &first.id, "contradicts", 1.0)];
    if replaces {
        links.push(Link::new(&last.id, &first.id, "supersedes", 1.0));
    }
    let done = engram::link(&links).and_then(|_| match replaces && first.valid_to.is_empty() {
        true => engram::update(&first.id, object! { "valid_to" => last.time() }).map(|_| ()),
        false => Ok(()),
    });
    if let Err(e) = done {
        engram::log(2, &format!("{} contradicts {}, which cannot be noted: {}", last.id, first.id, e.message));
        return Ok(None);
    }
    Ok(Some(object! { "id" => &last.id, "contradicts" => &first.id, "supersedes" => replaces }))
}

/// A time as a text that sorts: RFC 3339 in UTC, with nine decimals.
fn clock(time: &str) -> String {
    let time = time.trim_end_matches('Z');
    let (whole, part) = time.split_once('.').unwrap_or((time, ""));
    format!("{}.{:0<9}", whole, part)
}

// ---- Claims ----

/// What a sentence says about something.
#[derive(Debug)]
struct Claim {
    subject: String,
    /// The subject has a name, which means the same in every context.
    named: bool,
    attribute: String,
    value: Vec<String>,
    sort: Sort,
    /// It says that the attribute does not have the value.
    not: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Name,
    Number,
    Weekday,
    Day,
    Hour,
    Other,
}

/// The attribute of claims that say that something does something or not.
const DOES: &str = "does";

impl Claim {
    fn against(&self, other: &Claim) -> bool {
        if self.subject != other.subject || self.attribute != other.attribute {
            return false;
        }
        if self.not || other.not {
            return self.not != other.not && self.value == other.value;
        }
        let within = |a: &[String], b: &[String]| a.iter().all(|w| b.contains(w));
        if self.attribute == DOES || self.sort != other.sort || within(&self.value, &other.value) || within(&other.value, &self.value) {
            return false;
        }
        match self.sort {
            Sort::Number => {
                let (a, b) = (&self.value[1..], &other.value[1..]);
                self.value[0] != other.value[0] && (a.is_empty() || b.is_empty() || a == b)
            }
            Sort::Other => ONE_OF.iter().any(|h| self.attribute.rsplit(' ').next() == Some(*h)),
            Sort::Name if self.attribute.ends_with("place") => wide(&self.value) == wide(&other.value),
            // "The car is Swedish" and "The car is Ben's" may both be true.
            Sort::Name => !self.attribute.ends_with(" is"),
            _ => true,
        }
    }
}

/// Whether a place is a country or more, which may hold another place.
fn wide(value: &[String]) -> bool {
    const WIDE: &[&str] = &[
        "europe", "asia", "africa", "america", "australia", "austria", "belgium", "brazil", "canada", "china", "denmark", "england", "finland", "france",
        "germany", "greece", "india", "ireland", "italy", "japan", "kenya", "mexico", "netherland", "nigeria", "norwa", "poland", "portugal", "scotland",
        "spain", "sweden", "switzerland", "turke", "uk", "usa", "ukraine", "wale",
    ];
    value.iter().any(|w| WIDE.contains(&w.as_str()))
}

/// Attributes, by their last word, of which there is one at a time, whatever
/// the value is called.
const ONE_OF: &[&str] = &[
    "job", "role", "title", "status", "state", "colour", "color", "size", "name", "nickname", "password", "address", "mode", "plan", "stage", "password", "phase",
    "diet", "gender", "profession", "occupation", "language", "format", "frequency", "policy", "password", "topic", "theme", "priority", "favourite", "favorite",
];

/// Attributes of which there are several.
const MANY_OF: &[&str] = &[
    "friend", "colleague", "brother", "sister", "child", "son", "daughter", "cousin", "aunt", "uncle", "neighbour", "neighbor", "hobb", "pet", "client",
    "customer", "partner", "member", "part", "example", "goal", "reason", "problem", "issue", "advantage", "feature", "friend", "idea", "grandchild", "student",
];

/// Verbs with the attribute that they tell; the first word stands for all of
/// its forms in the present.
const VERBS: &[(&str, &str)] = &[
    ("live in", "place"), ("move to", "place"), ("moved to", "place"), ("relocated to", "place"), ("reside in", "place"), ("settled in", "place"),
    ("is based in", "place"), ("is located in", "place"), ("is hosted on", "place"), ("is hosted in", "place"), ("is deployed to", "place"), ("run on", "place"),
    ("run in", "place"), ("was moved to", "place"), ("was migrated to", "place"), ("migrated to", "place"), ("work for", "employer"), ("work at", "employer"),
    ("is employed by", "employer"), ("work as", "job"), ("is married to", "spouse"), ("married", "spouse"), ("report to", "manager"), ("is managed by", "manager"),
    ("is written in", "language"), ("was rewritten in", "language"), ("is owned by", "owner"), ("belong to", "owner"), ("is maintained by", "owner"),
    ("was handed over to", "owner"), ("is led by", "lead"), ("is assigned to", "assignee"), ("was reassigned to", "assignee"), ("was assigned to", "assignee"),
    ("is due on", "date"), ("is due", "date"), ("is scheduled for", "date"), ("is planned for", "date"), ("was rescheduled to", "date"),
    ("was rescheduled for", "date"), ("was postponed to", "date"), ("was postponed until", "date"), ("take place on", "date"), ("start on", "start"),
    ("start at", "start"), ("begin at", "start"), ("begin on", "start"), ("end on", "end"), ("end at", "end"), ("open at", "opening"), ("close at", "closing"),
    ("expire on", "expiry"), ("cost", "price"), ("sell for", "price"), ("listen on port", "port"), ("listen on", "port"), ("use port", "port"), ("drive a", "car"),
    ("drive an", "car"), ("run version", "version"), ("is on version", "version"), ("is at version", "version"), ("is called", "name"), ("is named", "name"),
    ("was renamed to", "name"), ("is reachable at", "contact"), ("wake up at", "waking"), ("get up at", "waking"), ("go to bed at", "bedtime"),
];

/// What was done to an attribute that has another value from then on.
const CHANGED: &[&str] = &[
    "changed", "set", "raised", "lowered", "reduced", "increased", "tightened", "relaxed", "bumped", "moved", "switched", "updated", "cut", "extended",
    "upgraded", "shortened", "pushed", "brought", "corrected", "rose", "fell", "dropped", "grew", "went", "rescheduled", "postponed", "renamed", "delayed",
];

/// Sentences with one of these do not say what is so now.
const UNSURE: &[&str] = &[
    "if", "would", "might", "could", "should", "will", "shall", "may", "plans", "wants", "hopes", "wishes", "maybe", "perhaps", "probably", "possibly", "unless",
    "used", "formerly", "previously", "originally", "or", "either", "rumour", "rumor", "allegedly", "supposedly", "almost", "considered", "considers", "thinks", "said",
    "says", "claims", "asked", "wonders", "once", "until", "during", "between", "sometimes", "often", "usually", "visited", "imagine", "suppose", "going",
];

/// Words that say when, and nothing else.
const NOW: &[&str] = &["now", "currently", "just", "recently", "finally", "meanwhile", "again", "also", "actually", "nowadays", "already", "today", "presently", "officially"];

/// What ends a value.
const ENDS: &[&str] = &[
    "and", "but", "because", "since", "after", "when", "while", "with", "so", "instead", "from", "than", "which", "who", "where", "though", "although", "for", "as", "by",
];

/// A word as it was written, and in lower case.
#[derive(Clone)]
struct Token {
    raw: String,
    low: String,
    /// A comma or the like follows.
    stop: bool,
}

/// The claims of an engram.
fn read(e: &Engram) -> Vec<Claim> {
    if e.kind == "digest" || e.kind == "question" || e.content.len() > 4000 {
        return Vec::new();
    }
    sentences(&e.content).into_iter().take(8).filter(|s| !s.ends_with('?')).flat_map(|s| claims(s, &e.source)).collect()
}

fn claims(sentence: &str, source: &str) -> Vec<Claim> {
    let mut t = tokens(sentence);
    if t.len() < 3 || t.len() > 24 || t.iter().any(|w| UNSURE.contains(&w.low.as_str()) && w.raw != "May") {
        return Vec::new();
    }
    // "As of Monday, the limit is 5"; "Correction: the limit is 5".
    let opens = ["as", "since", "from", "after", "in", "on", "by", "starting", "effective", "update", "correction", "fyi", "note", "news"];
    if let Some(i) = t.iter().take(6).position(|w| w.stop).filter(|_| opens.contains(&t[0].low.as_str())) {
        t.drain(..=i);
    }
    t.retain(|w| !NOW.contains(&w.low.as_str()));
    let not = negated(&mut t);
    let verb = (1..t.len()).find_map(|at| verb(&t, at));
    let claim = match verb {
        Some((at, after, attribute)) => claim(&t[..at], &t[after..], attribute, source, not),
        None => None,
    };
    match (claim, verb) {
        (Some(c), _) => vec![c],
        // A verb of the past says nothing about now.
        (None, _) if !not && t.iter().any(|w| ["was", "were", "had", "did"].contains(&w.low.as_str())) => Vec::new(),
        _ => doing(&t, source, not),
    }
}

fn tokens(sentence: &str) -> Vec<Token> {
    let mut list: Vec<Token> = Vec::new();
    for part in sentence.split_whitespace() {
        let open = part.trim_start_matches(|c: char| "\"'“‘([*_".contains(c));
        let raw = open.trim_end_matches(|c: char| "\"'”’)]*_,;:.!?".contains(c)).replace('’', "'").replace('%', " percent");
        let stop = open.ends_with(|c: char| ",;)".contains(c)) || open.ends_with(':') && list.is_empty();
        for raw in raw.split(' ').filter(|r| !r.is_empty()) {
            list.push(Token { low: lower(raw), raw: raw.into(), stop });
        }
        // "Budget of Juniper: 5" says the same as with "is".
        if open.ends_with(':') && list.len() > 1 && list.len() < 7 && !list.iter().any(|w| w.low == "is") {
            list.push(Token { raw: "is".into(), low: "is".into(), stop: false });
        }
    }
    list
}

/// Takes the negation out of a sentence, and the verb that only carries it.
fn negated(t: &mut Vec<Token>) -> bool {
    let mut not = false;
    let mut i = 0;
    while i < t.len() {
        let next = t.get(i + 1).map_or("", |w| w.low.as_str()).to_string();
        let gone = match t[i].low.as_str() {
            "does" | "do" if next == "not" => 2,
            "doesn't" | "don't" | "not" | "never" => 1,
            "no" if next == "longer" => 2,
            "isn't" | "aren't" => {
                t[i] = Token { raw: "is".into(), low: "is".into(), stop: false };
                not = true;
                0
            }
            _ => 0,
        };
        not |= gone > 0;
        t.drain(i..i + gone);
        i += (gone == 0) as usize;
    }
    not
}

/// A verb phrase at a place: where it begins and ends, and its attribute; ""
/// stands for the plain "is", where the subject names the attribute.
fn verb(t: &[Token], at: usize) -> Option<(usize, usize, &'static str)> {
    let word = |i: usize| t.get(i).map_or("", |w| w.low.as_str());
    let be = |w: &str| match w {
        "is" | "are" | "am" | "equals" => "is",
        "was" | "were" => "was",
        _ => "",
    };
    let lead = match word(at) {
        "has" | "have" => "was",
        w if be(w) != "" => be(w),
        w => w,
    };
    for (phrase, attribute) in VERBS {
        if phrase.as_bytes()[0] != lead.as_bytes()[0] {
            continue; // most of them, at once
        }
        let mut i = at;
        let fits = phrase.split(' ').enumerate().all(|(n, p)| {
            let mut w = word(i);
            if n == 0 && p == "was" && (w == "has" || w == "have") && word(i + 1) == "been" {
                i += 1; // "has been moved to"
                w = "was";
            }
            i += 1;
            w == p || n == 0 && (be(w) == p || w.strip_suffix("es").or_else(|| w.strip_suffix('s')) == Some(p) || w.strip_suffix('s') == Some(p))
        });
        if fits {
            return Some((at, i, attribute));
        }
    }
    let mut i = at;
    if be(word(i)) != "" {
        i += 1;
    } else if (word(i) == "has" || word(i) == "have") && word(i + 1) == "been" {
        i += 2;
    }
    if CHANGED.contains(&word(i)) {
        // "was raised (back) (from 3) to 5"
        let to = (i + 1..t.len().min(i + 6)).find(|j| ["to", "until", "at"].contains(&word(*j)))?;
        return Some((at, to + 1, ""));
    }
    (be(word(at)) == "is").then(|| (at, at + 1, ""))
}

/// The claim of a subject, a value and the attribute between them.
fn claim(subject: &[Token], value: &[Token], attribute: &str, source: &str, not: bool) -> Option<Claim> {
    let (owner, own, named) = split(subject, source)?;
    let (value, sort) = valued(value)?;
    let attribute = match (attribute, sort) {
        ("place", Sort::Weekday | Sort::Day | Sort::Hour | Sort::Number) | ("date", _) => "",
        ("employer", Sort::Other) => return None, // "works at night"
        _ => attribute,
    };
    let several = own.last().map_or(false, |h| MANY_OF.contains(&h.as_str()) || h != "status" && h != "address" && h.ends_with('s') && !h.ends_with("ss"));
    if attribute.is_empty() && several && sort != Sort::Number {
        return None;
    }
    let mut words: Vec<&str> = own.iter().map(String::as_str).collect();
    words.push(if attribute.is_empty() && own.is_empty() { "it is" } else { attribute });
    Some(Claim { subject: owner, named, attribute: words.join(" ").trim().into(), value, sort, not })
}

/// Splits "the budget of Juniper", "Juniper's budget" and "my budget" into the
/// subject, the words of the attribute, and whether the subject has a name.
fn split(t: &[Token], source: &str) -> Option<(String, Vec<String>, bool)> {
    const NOBODY: &[&str] = &[
        "he", "she", "it", "they", "this", "that", "there", "who", "which", "what", "someone", "everyone", "everybody", "nobody", "nothing", "people", "one", "each",
        "every", "some", "many", "most", "all", "his", "her", "its", "their", "your", "you", "these", "those", "old", "former", "previous", "other", "another", "first", "second",
        "last", "next", "both", "few", "several", "no", "any",
    ];
    if t.is_empty() || t.len() > 7 || t.iter().any(|w| w.stop || NOBODY.contains(&w.low.as_str())) {
        return None;
    }
    let kept: Vec<&Token> = t.iter().filter(|w| !["the", "a", "an", "our", "new", "current", "latest", "present"].contains(&w.low.as_str())).collect();
    let whose = kept.iter().position(|w| w.low.ends_with("'s"));
    let of = kept.iter().position(|w| w.low == "of");
    let stems = |list: &[&Token]| list.iter().map(|w| stem(&w.low).to_string()).collect::<Vec<_>>();
    let (owner, own) = match (whose, of) {
        (Some(_), Some(_)) => return None,
        (Some(i), None) => (&kept[..=i], stems(&kept[i + 1..])),
        (None, Some(i)) => (&kept[i + 1..], stems(&kept[..i])),
        (None, None) => (&kept[..], Vec::new()),
    };
    let own: Vec<String> = own;
    let first = owner.first()?;
    if first.low == "my" || first.low == "i" || first.low == "we" {
        if whose.is_some() || of.is_some() || first.low != "my" && owner.len() > 1 {
            return None;
        }
        return Some((format!("{}@{}", if first.low == "we" { "we" } else { "i" }, source), stems(&owner[1..]), !source.is_empty()));
    }
    let named = owner.iter().any(|w| w.low.bytes().any(|b| b.is_ascii_digit() || b == b'-' || b == b'_'))
        || owner.last().map_or(false, |w| capital(&w.raw)) && (owner.len() < t.len() || t.len() == 1 || owner.iter().all(|w| capital(&w.raw)));
    Some((stems(owner).join(" "), own, named))
}

/// The words of a value and what sort it is of.
fn valued(t: &[Token]) -> Option<(Vec<String>, Sort)> {
    const LEADS: &[&str] = &["the", "a", "an", "on", "at", "in", "to", "until", "around", "about", "approximately", "port", "version", "only", "up", "exactly"];
    const WEEKDAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    const MONTHS: &[&str] = &[
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
    ];
    const NUMBERS: &[&str] = &["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    let skip = t.iter().take_while(|w| LEADS.contains(&w.low.as_str())).count();
    let mut words: Vec<&Token> = Vec::new();
    for w in &t[skip..] {
        if ENDS.contains(&w.low.as_str()) || !words.is_empty() && ["in", "on", "at", "to"].contains(&w.low.as_str()) {
            break;
        }
        words.push(w);
        if w.stop {
            break;
        }
    }
    if words.is_empty() || words.len() > 5 {
        return None;
    }
    // "room 204" is a number with a unit, as "204 rooms" would be.
    if words.len() == 2 && words[1].low.bytes().all(|b| b.is_ascii_digit()) && !capital(&words[0].raw) {
        words.swap(0, 1);
    }
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.low.as_str()));
    let first = &words[0];
    let digit = first.low.trim_start_matches(|c: char| "$€£+".contains(c)).starts_with(|c: char| c.is_ascii_digit());
    let hour = digit && (first.low.contains(':') || first.low.ends_with("am") || first.low.ends_with("pm") || has(&["am", "pm", "o'clock"]));
    let dated = digit && first.low.matches('-').count() == 2 || has(MONTHS) && words.iter().any(|w| w.raw != "may");
    let sort = match () {
        _ if hour || first.low == "noon" || first.low == "midnight" => Sort::Hour,
        _ if dated => Sort::Day,
        _ if has(WEEKDAYS) => Sort::Weekday,
        _ if digit || NUMBERS.contains(&first.low.as_str()) => Sort::Number,
        _ if capital(&first.raw) => Sort::Name,
        _ => Sort::Other,
    };
    let value = words.iter().map(|w| match NUMBERS.iter().position(|n| *n == w.low) {
        Some(n) => n.to_string(),
        None => stem(&w.low).to_string(),
    });
    Some((value.collect(), sort))
}

/// Claims that something does something or not. Where the subject ends is not
/// known, so there is one for each of the first words at which it may.
fn doing(t: &[Token], source: &str, not: bool) -> Vec<Claim> {
    (1..t.len().min(5))
        .filter_map(|at| {
            let (subject, own, named) = split(&t[..at], source)?;
            let rest: Vec<String> = t[at..].iter().take_while(|w| !ENDS.contains(&w.low.as_str())).map(|w| match w.low.as_str() {
                "has" | "have" => "have".to_string(),
                "is" | "are" | "am" => "be".to_string(),
                "goes" => "go".to_string(),
                low => stem(low).to_string(),
            }).collect();
            let plain = own.is_empty() && (2..=6).contains(&rest.len());
            plain.then(|| Claim { subject, named, attribute: DOES.into(), value: rest, sort: Sort::Other, not })
        })
        .collect()
}
