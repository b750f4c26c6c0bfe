//! engram: the memory, for agents in Rust that are built for
//! wasm32-unknown-unknown. One file, nothing to install:
//!
//! ```text
//! #[path = "../engram.rs"]
//! mod engram;
//! use engram::{actions, object, Json, Query, Result};
//!
//! actions! { tool_newest => newest }
//!
//! fn newest(params: Json) -> Result<Json> {
//!     let hits = engram::search(&Query { limit: 1, context: params["context"].text(), ..Query::default() })?;
//!     Ok(object! { "content" => hits.first().map_or("", |h| &h.content) })
//! }
//! ```
//!
//! What an action writes takes effect when it returns `Ok`, all together, and
//! not at all when it returns `Err` or panics. Between calls nothing stays but
//! [`globals`].

#![allow(dead_code, unused_imports)] // an agent uses a part of this file

use std::fmt;
use std::ops::Index;

/// Exports actions under the names that the host looks for: `tool_` and the
/// action's name, with `_` for `-`. An action takes the parameters of its call.
macro_rules! actions {
    ($($export:ident => $action:path),* $(,)?) => {
        $(#[no_mangle]
        pub extern "C" fn $export() -> i32 {
            $crate::engram::perform($action)
        })*
    };
}
pub(crate) use actions;

/// Makes a JSON object of keys and of values that become [`Json`].
macro_rules! object {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::engram::Json::Object(vec![$(($key.to_string(), $crate::engram::Json::from($value))),*])
    };
}
pub(crate) use object;

/// Why something did not work, and what the caller can do about it.
#[derive(Clone, Debug, Default)]
pub struct Error {
    /// One word of the host's, such as `denied` or `not_found`; empty if the
    /// error is the agent's own.
    pub code: String,
    pub message: String,
    pub hint: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl<T: Into<String>> From<T> for Error {
    fn from(message: T) -> Error {
        Error { message: message.into(), ..Error::default() }
    }
}

// ---- The host's functions: the agent ABI engram:agent/1 ----

#[link(wasm_import_module = "engram")]
extern "C" {
    fn input_len() -> usize;
    fn input_read(to: *mut u8, room: usize) -> usize;
    fn output(at: *const u8, len: usize);
    #[link_name = "call"]
    fn host_call(op: *const u8, op_len: usize, json: *const u8, len: usize) -> i32;
    fn result_read(to: *mut u8, room: usize) -> usize;
    #[link_name = "log"]
    fn host_log(level: i32, at: *const u8, len: usize);
    #[link_name = "emit"]
    fn host_emit(at: *const u8, len: usize);
    #[link_name = "config"]
    fn host_config(key: *const u8, len: usize) -> i32;
    #[link_name = "now_ms"]
    fn host_now() -> i64;
    #[link_name = "deadline_ms"]
    fn host_deadline() -> i64;
    #[link_name = "fuel_left"]
    fn host_fuel() -> i64;
}

/// Runs an action on the input of this call; what [`actions`] exports.
pub fn perform(action: fn(Json) -> Result<Json>) -> i32 {
    std::panic::set_hook(Box::new(|panic| log(3, &panic.to_string())));
    let mut text = vec![0; unsafe { input_len() }];
    unsafe { input_read(text.as_mut_ptr(), text.len()) };
    let (json, code) = match Json::parse(&String::from_utf8_lossy(&text)).and_then(action) {
        Ok(json) => (json.to_string(), 0),
        Err(e) if e.hint.is_empty() => (object! { "message" => e.message }.to_string(), 1),
        Err(e) => (object! { "message" => e.message + " (" + &e.hint + ")" }.to_string(), 1),
    };
    unsafe { output(json.as_ptr(), json.len()) };
    code
}

/// Calls a tool by its name, one that the manifest grants.
pub fn call(op: &str, args: &Json) -> Result<Json> {
    let json = args.to_string();
    let n = unsafe { host_call(op.as_ptr(), op.len(), json.as_ptr(), json.len()) };
    let answer = Json::parse(&fetch(n.unsigned_abs() as usize))?;
    if n >= 0 {
        return Ok(answer);
    }
    Err(Error { code: answer["code"].text(), message: answer["message"].text(), hint: answer["hint"].text() })
}

fn fetch(len: usize) -> String {
    let mut text = vec![0; len];
    unsafe { result_read(text.as_mut_ptr(), len) };
    String::from_utf8_lossy(&text).into_owned()
}

/// Logs a line: level 0 debug, 1 info, 2 warn, 3 error.
pub fn log(level: i32, text: &str) {
    unsafe { host_log(level, text.as_ptr(), text.len()) }
}

/// Tells the caller how far the call is.
pub fn emit(progress: &Json) {
    let json = progress.to_string();
    unsafe { host_emit(json.as_ptr(), json.len()) }
}

/// The value of a key of the manifest's `config`; null without one.
pub fn config(key: &str) -> Json {
    match unsafe { host_config(key.as_ptr(), key.len()) } {
        n if n < 0 => Json::Null,
        n => Json::parse(&fetch(n as usize)).unwrap_or(Json::Null),
    }
}

/// What the agent remembers between calls: a JSON object of at most 64 KiB.
pub fn globals() -> Result<Json> {
    call("globals_get", &object! {})
}

/// Replaces [`globals`], if the call succeeds.
pub fn set_globals(globals: &Json) -> Result<()> {
    call("globals_set", globals).map(|_| ())
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    unsafe { host_now() }
}

/// When the call will be stopped, on the clock of [`now_ms`].
pub fn deadline_ms() -> i64 {
    unsafe { host_deadline() }
}

/// Work that the call may still do, about one unit an instruction.
pub fn fuel_left() -> i64 {
    unsafe { host_fuel() }
}

// ---- The memory's tools ----

/// An engram as the memory gives it. Text that it does not have is empty; times
/// are RFC 3339 in UTC.
#[derive(Clone, Debug, Default)]
pub struct Engram {
    pub id: String,
    pub content: String,
    pub kind: String,
    pub source: String,
    pub author: String,
    pub trust: String,
    pub confidence: f64,
    pub importance: f64,
    pub tags: Vec<String>,
    pub metadata: Json,
    pub context: String,
    pub collections: Vec<String>,
    pub valid_from: String,
    pub valid_to: String,
    pub created_at: String,
    pub version: i64,
    /// Of a hit of [`search`]; 0 otherwise.
    pub score: f64,
    /// Those that [`get`] was asked for.
    pub links: Vec<Link>,
}

impl Engram {
    /// Reads an engram or a hit from a tool's answer.
    pub fn from(json: &Json) -> Engram {
        let number = |key| json[key].number().unwrap_or(0.0);
        Engram {
            id: json["id"].text(),
            content: json["content"].text(),
            kind: json["kind"].text(),
            source: json["source"].text(),
            author: json["author"].text(),
            trust: json["trust"].text(),
            confidence: number("confidence"),
            importance: number("importance"),
            tags: json["tags"].texts(),
            metadata: json["metadata"].clone(),
            context: json["context"].text(),
            collections: json["collections"].texts(),
            valid_from: json["valid_from"].text(),
            valid_to: json["valid_to"].text(),
            created_at: json["created_at"].text(),
            version: number("version") as i64,
            score: number("score"),
            links: json["links"].list().iter().map(Link::from).collect(),
        }
    }

    /// When it happened or became true: valid_from, or else created_at.
    pub fn time(&self) -> &str {
        if self.valid_from.is_empty() { &self.created_at } else { &self.valid_from }
    }
}

/// A typed, weighted edge.
#[derive(Clone, Debug, Default)]
pub struct Link {
    pub from: String,
    pub to: String,
    pub relation: String,
    /// 0 to 1.
    pub weight: f64,
    pub metadata: Json,
}

impl Link {
    pub fn new(from: &str, to: &str, relation: &str, weight: f64) -> Link {
        Link { from: from.into(), to: to.into(), relation: relation.into(), weight, metadata: Json::Null }
    }

    fn from(json: &Json) -> Link {
        Link {
            from: json["from"].text(),
            to: json["to"].text(),
            relation: json["relation"].text(),
            weight: json["weight"].number().unwrap_or(1.0),
            metadata: json["metadata"].clone(),
        }
    }

    fn json(&self) -> Json {
        let mut json = object! { "from" => &self.from, "to" => &self.to, "relation" => &self.relation, "weight" => self.weight };
        json.set_some("metadata", self.metadata.clone());
        json
    }
}

/// Creates engrams, all or none: objects with the arguments of engram_create.
/// The answers, in the same order, have an `id`, and `duplicate` if there was
/// an equal one. The same request_id, a UUID, again gives the first answer;
/// empty means none.
pub fn create(engrams: Vec<Json>, request_id: &str) -> Result<Vec<Json>> {
    let mut args = object! { "engrams" => engrams };
    args.set_some("request_id", request_id);
    Ok(call("engram_create", &args)?.take("engrams").into_list())
}

/// The engrams with these ids, in full, those that there are.
pub fn get(ids: &[String], links: bool) -> Result<Vec<Engram>> {
    let answer = call("engram_get", &object! { "ids" => ids, "include_links" => links })?;
    Ok(answer["engrams"].list().iter().map(Engram::from).collect())
}

/// The arguments of a search. What is empty or 0 does not narrow it.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Words or a question; the newest come first without it.
    pub query: String,
    /// At most 200; 0 stands for 10.
    pub limit: usize,
    pub cursor: String,
    pub context: String,
    pub collections: Vec<String>,
    pub tags: Vec<String>,
    pub kind: String,
    pub source: String,
    pub after: String,
    pub before: String,
    /// hybrid, text or vector.
    pub mode: String,
    /// Only these keys of the hits.
    pub fields: Vec<String>,
}

/// Finds engrams, best first.
pub fn search(q: &Query) -> Result<Vec<Engram>> {
    search_page(q).map(|(hits, _)| hits)
}

/// Finds engrams, and the cursor of the page after them; it is empty at the end.
pub fn search_page(q: &Query) -> Result<(Vec<Engram>, String)> {
    let mut args = object! {};
    for (key, text) in [("query", &q.query), ("cursor", &q.cursor), ("context", &q.context), ("kind", &q.kind),
        ("source", &q.source), ("after", &q.after), ("before", &q.before), ("mode", &q.mode)] {
        args.set_some(key, text);
    }
    for (key, list) in [("collections", &q.collections), ("tags", &q.tags), ("fields", &q.fields)] {
        args.set_some(key, &list[..]);
    }
    if q.limit > 0 {
        args.set("limit", q.limit);
    }
    let answer = call("engram_search", &args)?;
    Ok((answer["hits"].list().iter().map(Engram::from).collect(), answer["cursor"].text()))
}

/// Sets links. The same ends and relation again change a link.
pub fn link(links: &[Link]) -> Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let links: Vec<Json> = links.iter().map(Link::json).collect();
    call("engram_link", &object! { "links" => links }).map(|_| ())
}

/// Changes fields of an engram: an object with the arguments of engram_update
/// but the id.
pub fn update(id: &str, mut fields: Json) -> Result<Engram> {
    fields.set("id", id);
    Ok(Engram::from(&call("engram_update", &fields)?["engram"]))
}

/// Hides engrams; engram_restore brings them back.
pub fn forget(ids: &[String]) -> Result<()> {
    call("engram_forget", &object! { "ids" => ids }).map(|_| ())
}

/// The engrams and links within so many steps of the start, along these
/// relations, or all.
pub fn graph(start: &[String], depth: usize, relations: &[String]) -> Result<(Vec<Engram>, Vec<Link>)> {
    let mut args = object! { "start" => start, "mode" => "subgraph", "depth" => depth };
    args.set_some("relations", relations);
    let answer = call("engram_graph", &args)?;
    Ok((answer["engrams"].list().iter().map(Engram::from).collect(), answer["links"].list().iter().map(Link::from).collect()))
}

// ---- Hooks ----

/// What a hook before a tool answers: the arguments to go on with.
pub fn go_on(args: Json) -> Result<Json> {
    Ok(object! { "args" => args })
}

/// What a hook before a tool answers to stop the call, with the reason.
pub fn refuse(reason: &str) -> Result<Json> {
    Ok(object! { "refuse" => reason })
}

/// What a hook after a tool answers: the result to give the caller.
pub fn give(result: Json) -> Result<Json> {
    Ok(object! { "result" => result })
}

// ---- JSON ----

/// A JSON value. Numbers keep their text and objects their order, so that what
/// is only passed on stays as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json {
    #[default]
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

static NULL: Json = Json::Null;

/// A member of an object, null if it is missing or this is no object.
impl Index<&str> for Json {
    type Output = Json;
    fn index(&self, key: &str) -> &Json {
        match self {
            Json::Object(members) => members.iter().find(|(k, _)| k == key).map_or(&NULL, |(_, v)| v),
            _ => &NULL,
        }
    }
}

impl Json {
    pub fn is_null(&self) -> bool {
        *self == Json::Null
    }

    /// The string, or "".
    pub fn as_str(&self) -> &str {
        match self {
            Json::Text(s) => s,
            _ => "",
        }
    }

    /// The string as one's own, or "".
    pub fn text(&self) -> String {
        self.as_str().into()
    }

    /// The number, exact up to 15 digits.
    pub fn number(&self) -> Option<f64> {
        match self {
            Json::Number(s) => Some(number(s)),
            _ => None,
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match self {
            Json::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The items of a list, or none.
    pub fn list(&self) -> &[Json] {
        match self {
            Json::List(l) => l,
            _ => &[],
        }
    }

    pub fn into_list(self) -> Vec<Json> {
        match self {
            Json::List(l) => l,
            _ => Vec::new(),
        }
    }

    /// The strings of a list; a string is a list of one.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Json::Text(s) => vec![s.clone()],
            _ => self.list().iter().map(Json::text).collect(),
        }
    }

    /// The members of an object in their order, or none.
    pub fn members(&self) -> &[(String, Json)] {
        match self {
            Json::Object(m) => m,
            _ => &[],
        }
    }

    /// The place of a member, which is made if need be; what is no object
    /// becomes one.
    pub fn at(&mut self, key: &str) -> &mut Json {
        if !matches!(self, Json::Object(_)) {
            *self = Json::Object(Vec::new());
        }
        let members = match self {
            Json::Object(members) => members,
            _ => unreachable!(),
        };
        let i = members.iter().position(|(k, _)| k == key).unwrap_or_else(|| {
            members.push((key.into(), Json::Null));
            members.len() - 1
        });
        &mut members[i].1
    }

    pub fn set(&mut self, key: &str, value: impl Into<Json>) {
        *self.at(key) = value.into();
    }

    /// Sets a member unless the value is null or an empty text, list or object.
    pub fn set_some(&mut self, key: &str, value: impl Into<Json>) {
        let value = value.into();
        let empty = match &value {
            Json::Null => true,
            Json::Text(s) => s.is_empty(),
            Json::List(l) => l.is_empty(),
            Json::Object(m) => m.is_empty(),
            _ => false,
        };
        if !empty {
            self.set(key, value);
        }
    }

    /// Takes a member out, leaving null.
    pub fn take(&mut self, key: &str) -> Json {
        if self[key].is_null() { Json::Null } else { std::mem::take(self.at(key)) }
    }

    pub fn parse(text: &str) -> Result<Json> {
        let mut p = Parser { text, at: 0 };
        let json = p.value(MAX_DEPTH)?;
        p.space();
        if p.at < text.len() { p.wrong("the end") } else { Ok(json) }
    }
}

impl From<&str> for Json {
    fn from(s: &str) -> Json {
        Json::Text(s.into())
    }
}

impl From<String> for Json {
    fn from(s: String) -> Json {
        Json::Text(s)
    }
}

impl From<&String> for Json {
    fn from(s: &String) -> Json {
        Json::Text(s.clone())
    }
}

impl From<bool> for Json {
    fn from(b: bool) -> Json {
        Json::Bool(b)
    }
}

impl From<usize> for Json {
    fn from(n: usize) -> Json {
        Json::Number(n.to_string())
    }
}

impl From<i64> for Json {
    fn from(n: i64) -> Json {
        Json::Number(n.to_string())
    }
}

/// A number is written with up to nine decimals; what is too large for that, or
/// no number, becomes null.
impl From<f64> for Json {
    fn from(x: f64) -> Json {
        let scaled = x.abs() * 1e9 + 0.5;
        if scaled.is_nan() || scaled >= 1e18 {
            return Json::Null;
        }
        let (whole, part) = (scaled as u64 / 1_000_000_000, scaled as u64 % 1_000_000_000);
        let sign = if x < 0.0 && whole + part > 0 { "-" } else { "" };
        Json::Number(format!("{}{}.{:09}", sign, whole, part).trim_end_matches('0').trim_end_matches('.').into())
    }
}

/// Reads a JSON number. The standard library's way is exact for more digits and
/// brings 20 KB of tables.
fn number(text: &str) -> f64 {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let mut power: i32 = exponent.trim_start_matches('+').parse().unwrap_or(0);
    let (mut n, mut point) = (0u64, false);
    for b in mantissa.bytes() {
        match b {
            b'.' => point = true,
            b'0'..=b'9' if n < u64::MAX / 100 => {
                n = n * 10 + (b - b'0') as u64;
                power -= point as i32;
            }
            b'0'..=b'9' => power += !point as i32,
            _ => {}
        }
    }
    let (size, scale) = (n as f64, (0..power.unsigned_abs().min(400)).fold(1.0, |s, _| s * 10.0));
    let x = if power < 0 { size / scale } else { size * scale };
    if text.starts_with('-') { -x } else { x }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(list: Vec<T>) -> Json {
        Json::List(list.into_iter().map(Into::into).collect())
    }
}

impl From<&[String]> for Json {
    fn from(list: &[String]) -> Json {
        Json::List(list.iter().map(Json::from).collect())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(b) => f.write_str(if *b { "true" } else { "false" }),
            Json::Number(n) => f.write_str(n),
            Json::Text(s) => quote(s, f),
            Json::List(list) => {
                f.write_str("[")?;
                for (i, v) in list.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    v.fmt(f)?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (i, (k, v)) in members.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    quote(k, f)?;
                    f.write_str(":")?;
                    v.fmt(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quote(s: &str, f: &mut fmt::Formatter) -> fmt::Result {
    f.write_str("\"")?;
    let mut done = 0;
    for (i, b) in s.bytes().enumerate() {
        if b == b'"' || b == b'\\' || b < 0x20 {
            f.write_str(&s[done..i])?;
            match b {
                b'\n' => f.write_str("\\n")?,
                b'"' | b'\\' => write!(f, "\\{}", b as char)?,
                _ => write!(f, "\\u{:04x}", b)?,
            }
            done = i + 1;
        }
    }
    f.write_str(&s[done..])?;
    f.write_str("\"")
}

const MAX_DEPTH: usize = 128;

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn wrong<T>(&self, wanted: &str) -> Result<T> {
        Err(format!("byte {} of the JSON is not {}", self.at, wanted).into())
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Steps over a byte after white space, if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.peek() == byte;
        self.at += is as usize;
        is
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json> {
        if !self.text[self.at..].starts_with(word) {
            return self.wrong("a value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Json> {
        if depth == 0 {
            return self.wrong("nested so deeply");
        }
        self.space();
        match self.peek() {
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'"' => self.string().map(Json::Text),
            b'[' => self.items(b']', |p| p.value(depth - 1)).map(Json::List),
            b'{' => self.items(b'}', |p| p.member(depth - 1)).map(Json::Object),
            _ => self.number(),
        }
    }

    /// What lies, separated by commas, between a bracket and its end.
    fn items<T>(&mut self, end: u8, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.at += 1;
        let mut list = Vec::new();
        if self.eat(end) {
            return Ok(list);
        }
        loop {
            list.push(item(self)?);
            if self.eat(end) {
                return Ok(list);
            }
            if !self.eat(b',') {
                return self.wrong("a comma");
            }
        }
    }

    fn member(&mut self, depth: usize) -> Result<(String, Json)> {
        self.space();
        if self.peek() != b'"' {
            return self.wrong("a key");
        }
        let key = self.string()?;
        if !self.eat(b':') {
            return self.wrong("a colon");
        }
        Ok((key, self.value(depth)?))
    }

    fn number(&mut self) -> Result<Json> {
        let start = self.at;
        while matches!(self.peek(), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
            self.at += 1;
        }
        match &self.text[start..self.at] {
            "" => self.wrong("a value"),
            text => Ok(Json::Number(text.into())),
        }
    }

    fn string(&mut self) -> Result<String> {
        self.at += 1;
        let mut s = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), b'"' | b'\\' | 0..=0x1f) {
                self.at += 1;
            }
            s.push_str(&self.text[start..self.at]);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(s);
                }
                b'\\' => s.push(self.escape()?),
                _ => return self.wrong("the end of a string"),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        self.at += 1;
        let c = match self.peek() {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\x08',
            b'f' => '\x0c',
            b'u' => return self.unicode(),
            c @ (b'"' | b'\\' | b'/') => c as char,
            _ => return self.wrong("an escape"),
        };
        self.at += 1;
        Ok(c)
    }

    /// \uXXXX, or two that make a pair; half a pair becomes U+FFFD.
    fn unicode(&mut self) -> Result<char> {
        let high = self.hex()?;
        if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            let before = self.at;
            self.at += 1;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let pair = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(pair).unwrap_or('\u{fffd}'));
            }
            self.at = before;
        }
        Ok(char::from_u32(high).unwrap_or('\u{fffd}'))
    }

    /// The four digits after the u on which the parser stands.
    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.get(self.at + 1..self.at + 5).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits {
            Some(d) => {
                self.at += 5;
                Ok(u32::from_str_radix(d, 16).unwrap_or(0))
            }
            None => self.wrong("four digits"),
        }
    }
}

// ---- Memory ----

/// An allocator that never goes back. The host puts the agent's memory back
/// after each call, and can use an instance again as long as the memory has not
/// grown; so there is an arena from the start, and more is asked of the host
/// only by a call that needs it.
#[cfg(target_arch = "wasm32")]
mod memory {
    use std::alloc::{GlobalAlloc, Layout};
    use std::cell::UnsafeCell;

    const ARENA: usize = 1 << 20;
    const PAGE: usize = 1 << 16;

    #[repr(align(16))]
    struct Space(UnsafeCell<[u8; ARENA]>);
    struct Arena(UnsafeCell<(usize, usize)>); // the first free byte, and the end

    // SAFETY: an agent has one thread.
    unsafe impl Sync for Space {}
    unsafe impl Sync for Arena {}

    static SPACE: Space = Space(UnsafeCell::new([0; ARENA]));
    #[global_allocator]
    static FREE: Arena = Arena(UnsafeCell::new((0, 0)));

    unsafe impl GlobalAlloc for Arena {
        unsafe fn alloc(&self, l: Layout) -> *mut u8 {
            let (free, end) = &mut *self.0.get();
            if *end == 0 {
                *free = SPACE.0.get() as usize;
                *end = *free + ARENA;
            }
            let mut at = (*free + l.align() - 1) & !(l.align() - 1);
            if l.size() > end.saturating_sub(at) {
                let pages = (l.size() + l.align() + PAGE - 1) / PAGE;
                let grown = core::arch::wasm32::memory_grow(0, pages.max(ARENA / PAGE));
                let grown = if grown == usize::MAX { core::arch::wasm32::memory_grow(0, pages) } else { grown };
                if grown == usize::MAX {
                    return core::ptr::null_mut();
                }
                at = (grown * PAGE + l.align() - 1) & !(l.align() - 1);
                *end = core::arch::wasm32::memory_size(0) * PAGE;
            }
            *free = at + l.size();
            at as *mut u8
        }

        unsafe fn dealloc(&self, at: *mut u8, l: Layout) {
            let (free, _) = &mut *self.0.get();
            if at as usize + l.size() == *free {
                *free = at as usize;
            }
        }

        unsafe fn realloc(&self, at: *mut u8, l: Layout, size: usize) -> *mut u8 {
            let (free, end) = &mut *self.0.get();
            if at as usize + l.size() == *free && size <= *end - at as usize {
                *free = at as usize + size;
                return at;
            }
            let to = self.alloc(Layout::from_size_align_unchecked(size, l.align()));
            if !to.is_null() {
                core::ptr::copy_nonoverlapping(at, to, l.size().min(size));
            }
            to
        }
    }
}
