//! rerank: puts hits into another order, by rules.
//!
//! order, a hook after engram_search: a hit's score, as a share of the best
//! one's, and the boosts of the rules that it meets add up; equal hits stay in
//! their order. A rule names a value of a hit's field, or an age:
//!
//!   {"field": "tags", "is": "pinned", "boost": 0.5}
//!   {"field": "metadata.status", "is": "approved", "boost": 0.3}
//!   {"half_life_days": 30, "boost": 0.2}
//!
//! A rule of age gives its boost to the newest of the hits, half of it to one
//! that is half_life_days older, a third at twice that, and so on. A boost can
//! be negative.
//!
//! config: "rules". Rules see the fields that the search shows.

#![crate_type = "cdylib"]

#[path = "../engram.rs"]
mod engram;
use engram::{actions, object, Json, Result};

actions! { tool_order => order }

fn order(params: Json) -> Result<Json> {
    let rules = engram::config("rules");
    let hits = params["result"]["hits"].list();
    if params["args"]["query"].as_str().is_empty() || hits.len() < 2 {
        return Ok(object! {}); // what is listed by time stays so
    }
    let score = |h: &Json| h["score"].number().unwrap_or(0.0);
    let best = hits.iter().map(score).fold(0.0, f64::max);
    let newest = hits.iter().filter_map(day).fold(f64::MIN, f64::max);
    let mut ranked = Vec::new();
    for (at, hit) in hits.iter().enumerate() {
        let mut sum = if best > 0.0 { score(hit) / best } else { 0.0 };
        for rule in rules.list() {
            sum += boost(rule, hit, newest)?;
        }
        ranked.push((sum, at));
    }
    ranked.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal).then(a.1.cmp(&b.1)));
    if ranked.iter().enumerate().all(|(i, (_, at))| i == *at) {
        return Ok(object! {});
    }
    let hits: Vec<Json> = ranked.iter().map(|(_, at)| object! { "id" => hits[*at]["id"].clone() }).collect();
    engram::give(object! { "hits" => hits })
}

/// What a rule adds to a hit.
fn boost(rule: &Json, hit: &Json, newest: f64) -> Result<f64> {
    let boost = rule["boost"].number().ok_or("a rule in the config has no boost")?;
    if let Some(half) = rule["half_life_days"].number().filter(|h| *h > 0.0) {
        return Ok(day(hit).map_or(0.0, |d| boost / (1.0 + (newest - d) / half)));
    }
    let field = rule["field"].as_str();
    if field.is_empty() || rule["is"].is_null() {
        return Err("a rule in the config has neither field and is, nor half_life_days".into());
    }
    let value = field.split('.').fold(hit, |v, key| &v[key]);
    let met = equal(value, &rule["is"]) || value.list().iter().any(|v| equal(v, &rule["is"]));
    Ok(if met { boost } else { 0.0 })
}

/// Equal values; 1 and 1.0 are.
fn equal(a: &Json, b: &Json) -> bool {
    a == b || a.number().is_some() && a.number() == b.number()
}

/// When a hit happened or was stored, in days since 1970.
fn day(hit: &Json) -> Option<f64> {
    let time = match hit["valid_from"].as_str() {
        "" => hit["created_at"].as_str(),
        time => time,
    };
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (y, m, d) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // March is the first month of a year here, so that the leap day is its last.
    let (y, m) = if m > 2 { (y, m - 3) } else { (y - 1, m + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d - 719_469;
    let seconds = number(11, 13).unwrap_or(0) * 3600 + number(14, 16).unwrap_or(0) * 60 + number(17, 19).unwrap_or(0);
    Some(days as f64 + seconds as f64 / 86_400.0)
}
