//! chain: links engrams in the order in which they are given.
//!
//! link: {"ids": ["a", "b", "c"], "relation": "then"} -> what engram_link gives
//! for the links a-then->b and b-then->c

#![crate_type = "cdylib"]

#[path = "../engram.rs"]
mod engram;
use engram::{actions, object, Json, Result};

actions! { tool_link => link }

fn link(params: Json) -> Result<Json> {
    let ids = params["ids"].texts();
    if ids.len() < 2 {
        return Err("a chain needs two ids or more".into());
    }
    let relation = if params["relation"].is_null() { Json::from("next") } else { params["relation"].clone() };
    let links: Vec<Json> = ids
        .windows(2)
        .map(|pair| object! { "from" => &pair[0], "to" => &pair[1], "relation" => relation.clone() })
        .collect();
    engram::call("engram_link", &object! { "links" => links })
}
