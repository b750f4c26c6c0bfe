#![crate_type = "cdylib"]

#[path = "engram.rs"]
mod engram;
use engram::{actions, object, Json, Link, Query, Result};

actions! { tool_tour => tour, tool_denied => denied, tool_text => text, tool_fails => fails, tool_hook => hook }

fn tour(_: Json) -> Result<Json> {
    let hits = engram::search(&Query { query: "tea".into(), limit: 1, tags: vec!["drink".into()], ..Query::default() })?;
    let made = engram::create(
        vec![object! {
            "content" => "Ben prefers \"coffee\"\n", "kind" => "preference", "confidence" => 0.75, "tags" => vec!["drink", "hot"],
            "metadata" => object! { "page" => 12usize }, "context" => "kitchen"
        }],
        "",
    )?;
    let id = made[0]["id"].text();
    engram::link(&[Link::new(&id, &hits[0].id, "unlike", 0.25)])?;
    let got = engram::get(&[id.clone()], true)?;
    let changed = engram::update(&id, object! { "content" => "Ben prefers water" })?;
    let (around, edges) = engram::graph(&[hits[0].id.clone()], 1, &[])?;
    engram::forget(&[id.clone()])?;
    let left = engram::get(&[id], false)?;
    engram::set_globals(&object! { "n" => 7usize })?;
    for level in 0..4 {
        engram::log(level, &format!("level {level}"));
    }
    engram::emit(&object! { "progress" => 1usize, "total" => 2usize });
    let e = &got[0];
    Ok(object! {
        "found" => &hits[0].content, "scored" => hits[0].score > 0.0, "content" => &e.content, "tags" => &e.tags[..], "confidence" => e.confidence,
        "kind" => &e.kind, "context" => &e.context, "page" => e.metadata["page"].clone(), "relation" => &e.links[0].relation, "weight" => e.links[0].weight,
        "around" => around.len() + 1, "edges" => edges.len() + 1, "version" => changed.version, "changed" => &changed.content, "left" => left.len(),
        "globals" => engram::globals()?["n"].clone(), "word" => engram::config("word"), "deep" => engram::config("deep")["n"].clone(),
        "nothing" => engram::config("none").is_null(), "time" => engram::deadline_ms() > engram::now_ms(), "fuel" => engram::fuel_left() > 0
    })
}

fn denied(_: Json) -> Result<Json> {
    match engram::call("engram_history", &object! { "id" => "x" }) {
        Ok(_) => Err("it was not refused".into()),
        Err(e) => Ok(object! { "code" => e.code, "message" => e.message }),
    }
}

fn text(params: Json) -> Result<Json> {
    Ok(object! { "text" => params["text"].text(), "number" => params["number"].number().unwrap_or(0.0) })
}

fn fails(_: Json) -> Result<Json> {
    Err(r#"no "such" thing"#.into())
}

fn hook(params: Json) -> Result<Json> {
    if !params["result"].is_null() {
        return engram::give(params["result"].clone());
    }
    if params["tool"].text() == "engram_update" {
        return engram::refuse("no");
    }
    engram::go_on(params["args"].clone())
}
