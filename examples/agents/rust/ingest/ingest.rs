//! ingest: makes engrams of a Markdown text or of a conversation.
//!
//! text: {"text", "context", "format"?, "source"?, "time"?, "request_id"?} ->
//! {"format", "engrams": [ids in their order], "links": how many}
//!
//! markdown: a heading is an engram of kind section, a paragraph, list, table or
//! block of code one of kind note; each is linked `part_of` to the section that
//! it stands in. jsonl: a turn on each line, or a list of them, with a role or
//! name, a content and perhaps a time. chat: "Name: text" lines, perhaps after a
//! date and time; lines without a name go on with the turn before. Turns are
//! engrams of kind turn with the speaker as source.
//!
//! All go into the context in the order of the text. With a request_id, a UUID,
//! a repeated call changes nothing and gives the same ids.

#![crate_type = "cdylib"]

#[path = "../engram.rs"]
mod engram;
use engram::{actions, object, Json, Link, Result};

actions! { tool_text => text }

/// As many engrams as one call of engram_create takes.
const MOST: usize = 1000;

/// The longest engram; longer paragraphs are cut between sentences.
const LONGEST: usize = 4000;

fn text(params: Json) -> Result<Json> {
    let given = params["text"].as_str().replace("\r\n", "\n");
    let format = match params["format"].as_str() {
        "" => guess(&given),
        format => format,
    };
    let mut parts = match format {
        "markdown" => markdown(&given),
        "jsonl" => json_turns(&given)?,
        "chat" => chat_turns(&given),
        _ => return Err("format is none of markdown, jsonl and chat".into()),
    };
    drop_empty(&mut parts);
    if parts.is_empty() {
        return Err("there is nothing to remember in the text".into());
    }
    if parts.len() > MOST {
        return Err(format!("the text has {} parts, more than {}: give it in several pieces", parts.len(), MOST).into());
    }
    let request = params["request_id"].as_str();
    let engrams: Vec<Json> = parts.iter().map(|p| p.engram(&params, !request.is_empty())).collect();
    let made = engram::create(engrams, request)?;
    let ids: Vec<String> = made.iter().map(|e| e["id"].text()).collect();
    let links: Vec<Link> = parts.iter().enumerate().filter_map(|(i, p)| Some(Link::new(&ids[i], &ids[p.parent?], "part_of", 1.0))).filter(|l| l.from != l.to).collect();
    engram::link(&links)?;
    Ok(object! { "format" => format, "engrams" => ids, "links" => links.len() })
}

/// What becomes an engram.
#[derive(Default)]
struct Part {
    content: String,
    kind: &'static str,
    source: String,
    time: String,
    metadata: Json,
    /// The section that it is a part of, by its place in the list.
    parent: Option<usize>,
}

impl Part {
    /// The engram, with what the caller says of the whole text where the part
    /// itself says nothing. Turns that repeat are kept apart if asked.
    fn engram(&self, params: &Json, apart: bool) -> Json {
        let mut e = object! { "content" => self.content.trim(), "kind" => self.kind };
        e.set_some("context", params["context"].clone());
        e.set_some("collections", params["collections"].clone());
        e.set_some("source", if self.source.is_empty() { params["source"].clone() } else { Json::from(&self.source) });
        e.set_some("valid_from", if self.time.is_empty() { params["time"].clone() } else { Json::from(&self.time) });
        e.set_some("metadata", self.metadata.clone());
        if apart {
            e.set("allow_duplicate", true);
        }
        e
    }
}

/// The format of a text that does not say it.
fn guess(text: &str) -> &'static str {
    let start = text.trim_start();
    if start.starts_with('{') || start.starts_with('[') && Json::parse(start).is_ok() {
        return "jsonl";
    }
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let turns = lines.iter().filter(|l| turn(l).is_some()).count();
    let headings = lines.iter().any(|l| heading(l).is_some());
    if turns >= 2 && turns * 2 >= lines.len() && !headings { "chat" } else { "markdown" }
}

/// Drops the parts without text, and with them what others say of them.
fn drop_empty(parts: &mut Vec<Part>) {
    let mut kept = 0;
    let place: Vec<Option<usize>> = parts.iter().map(|p| (!p.content.trim().is_empty()).then(|| (kept, kept += 1).0)).collect();
    parts.retain(|p| !p.content.trim().is_empty());
    for p in parts {
        p.parent = p.parent.and_then(|at| place[at]);
    }
}

// ---- Markdown ----

/// The level and text of a heading.
fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    let rest = &line[level..];
    let is = (1..=6).contains(&level) && rest.starts_with(' ') && !rest.trim().is_empty();
    is.then(|| (level, rest.trim().trim_end_matches('#').trim_end()))
}

fn markdown(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new(); // level and place of the sections around
    let mut block = String::new();
    let mut fence = "";
    for line in body(text).lines() {
        let mark = ["```", "~~~"].iter().find(|m| line.trim_start().starts_with(**m)).copied().unwrap_or("");
        let title = if fence.is_empty() { heading(line) } else { None };
        if title.is_some() || fence.is_empty() && line.trim().is_empty() {
            note(&mut parts, &mut block, &open);
        } else {
            block += line;
            block += "\n";
        }
        if let Some((level, title)) = title {
            open.retain(|(l, _)| *l < level);
            let parent = open.last().map(|(_, at)| *at);
            let metadata = object! { "level" => level };
            parts.push(Part { content: title.into(), kind: "section", metadata, parent, ..Part::default() });
            open.push((level, parts.len() - 1));
        }
        fence = match (fence, mark) {
            ("", m) => m,
            (f, m) if f == m => "",
            (f, _) => f,
        };
    }
    note(&mut parts, &mut block, &open);
    parts
}

/// The text without YAML between lines of --- at its beginning.
fn body(text: &str) -> &str {
    let rest = match text.strip_prefix("---\n") {
        Some(rest) => rest,
        None => return text,
    };
    rest.find("\n---\n").map_or(text, |end| &rest[end + 5..])
}

/// Ends a block, which becomes one engram or, if it is long, several.
fn note(parts: &mut Vec<Part>, block: &mut String, open: &[(usize, usize)]) {
    let mut rest = block.trim_end();
    while !rest.is_empty() {
        let end = cut(rest);
        parts.push(Part { content: rest[..end].into(), kind: "note", parent: open.last().map(|(_, at)| *at), ..Part::default() });
        rest = rest[end..].trim_start();
    }
    block.clear();
}

/// Where to cut a text that is too long: after a line, a sentence or a word.
fn cut(text: &str) -> usize {
    if text.len() <= LONGEST {
        return text.len();
    }
    let most = (0..=LONGEST).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let head = &text[..most];
    let after = |mark: &str| head.rfind(mark).map(|i| i + mark.len()).filter(|i| *i > LONGEST / 4);
    after("\n").or(after(". ")).or(after(" ")).unwrap_or(most)
}

// ---- Conversations ----

/// The time, name and words of a line such as "[2024-05-07 10:00] Ada: Hello".
fn turn(line: &str) -> Option<(String, &str, &str)> {
    if line.starts_with(char::is_whitespace) {
        return None; // it goes on with the line before
    }
    let line = line.trim().trim_start_matches("- ").trim_start_matches("> ");
    let (time, rest) = stamp(line);
    let rest = rest.trim_start_matches("**");
    let (name, words) = rest.split_once(':')?;
    let name = name.trim_end_matches("**").trim();
    let words = words.trim_start_matches("**").trim();
    let first = name.chars().next()?;
    let called = first.is_alphabetic() && name.len() <= 40 && name.split_whitespace().count() <= 3
        && name.chars().all(|c| c.is_alphanumeric() || " -_.'@".contains(c)) && !words.starts_with("//");
    called.then(|| (time, name, words))
}

/// A date and time at the beginning of a line, perhaps in brackets, and the rest.
fn stamp(line: &str) -> (String, &str) {
    let bracket = line.starts_with('[') || line.starts_with('(');
    let inner = if bracket { &line[1..] } else { line };
    let len = inner.bytes().take_while(|b| b.is_ascii_digit() || b"-:TZ. +".contains(b)).count();
    let time = instant(inner[..len].trim_end_matches(|c: char| " -.:+".contains(c)));
    if time.is_empty() {
        return (time, line);
    }
    let rest = inner[len..].trim_start_matches([']', ')']);
    (time, rest.trim_start_matches(|c: char| " -–,|".contains(c)))
}

/// A time as RFC 3339; "" if it is none.
fn instant(text: &str) -> String {
    let b = text.as_bytes();
    let shaped = |pattern: &str| b.len() >= pattern.len() && pattern.bytes().zip(b).all(|(p, c)| if p == b'0' { c.is_ascii_digit() } else { p == *c || p == b'T' && *c == b' ' });
    if !shaped("0000-00-00") {
        return String::new();
    }
    if shaped("0000-00-00T00:00:00") {
        let zone = if b.len() == 19 { "Z" } else { "" };
        return text.replacen(' ', "T", 1) + zone;
    }
    if shaped("0000-00-00T00:00") { text[..16].replacen(' ', "T", 1) + ":00Z" } else { text[..10].into() }
}

fn chat_turns(text: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for line in text.lines() {
        match (turn(line), parts.last_mut()) {
            (Some((time, name, words)), _) => parts.push(Part { content: words.into(), kind: "turn", source: name.into(), time, ..Part::default() }),
            (None, Some(last)) => {
                last.content += "\n";
                last.content += line;
            }
            (None, None) if line.trim().is_empty() => {}
            (None, None) => parts.push(Part { content: line.into(), kind: "note", ..Part::default() }),
        }
    }
    parts
}

fn json_turns(text: &str) -> Result<Vec<Part>> {
    let turns = match Json::parse(text.trim()) {
        Ok(Json::List(list)) => list,
        Ok(mut one) => match one.take("messages") {
            Json::List(list) => list,
            _ => vec![one],
        },
        Err(_) => {
            let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
            lines.map(|(n, l)| Json::parse(l).map_err(|_| format!("line {} is not JSON", n + 1).into())).collect::<Result<Vec<Json>>>()?
        }
    };
    Ok(turns.iter().map(json_turn).collect())
}

fn json_turn(turn: &Json) -> Part {
    let first = |keys: &[&str]| keys.iter().map(|k| turn[*k].clone()).find(|v| !v.is_null()).unwrap_or(Json::Null);
    let content = match first(&["content", "text", "message", "body"]) {
        Json::List(pieces) => pieces.iter().map(|p| if p["text"].is_null() { p.text() } else { p["text"].text() }).collect::<Vec<_>>().join("\n"),
        Json::Object(members) => Json::Object(members)["content"].text(),
        other => other.text(),
    };
    let source = first(&["name", "speaker", "author", "from", "user", "role"]).text();
    let time = match first(&["time", "timestamp", "created_at", "create_time", "date", "ts"]) {
        Json::Number(n) => since_1970(Json::Number(n).number().unwrap_or(0.0)),
        other => instant(other.as_str()),
    };
    Part { content, kind: "turn", source, time, ..Part::default() }
}

/// RFC 3339 of seconds or milliseconds since 1970.
fn since_1970(n: f64) -> String {
    let seconds = (if n > 1e11 { n / 1000.0 } else { n }) as i64;
    let (days, rest) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    // March is the first month of a year here, so that the leap day is its last.
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * m + 2) / 5 + 1, if m < 10 { m + 3 } else { m - 9 });
    let year = year + era * 400 + (month <= 2) as i64;
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", year, month, day, rest / 3600, rest / 60 % 60, rest % 60)
}
