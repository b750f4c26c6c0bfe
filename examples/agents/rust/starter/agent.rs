//! starter: an agent that remembers notes and keeps secrets out.

#![crate_type = "cdylib"]

#[path = "../engram.rs"]
mod engram;
use engram::{actions, object, Json, Link, Query, Result};

actions! { tool_note => note, tool_check => check }

/// Remembers a text and links it to the memory that it resembles most.
fn note(params: Json) -> Result<Json> {
    let text = params["text"].text().trim().to_string();
    if text.is_empty() {
        return Err("text is empty".into());
    }
    let hits = engram::search(&Query { query: text.clone(), limit: 1, ..Query::default() })?;
    let made = engram::create(vec![object! { "content" => text, "kind" => engram::config("kind") }], "")?;
    let id = made[0]["id"].text();
    let mut out = object! { "id" => &id };
    if let Some(hit) = hits.first().filter(|hit| hit.id != id) {
        engram::link(&[Link::new(&id, &hit.id, "resembles", 0.5)])?;
        out.set("resembles", &hit.id);
    }
    let number = engram::globals()?["notes"].number().unwrap_or(0.0) as i64 + 1;
    engram::set_globals(&object! { "notes" => number })?;
    engram::log(1, &format!("note {number}"));
    out.set("number", number);
    Ok(out)
}

/// A hook: it sees what is about to be remembered and may refuse it.
fn check(params: Json) -> Result<Json> {
    let word = engram::config("refuse").text();
    let secret = params["args"]["engrams"].list().iter().any(|e| e["content"].text().contains(&word));
    if secret {
        return engram::refuse(&format!("it holds the word {word}"));
    }
    Ok(object! {})
}
