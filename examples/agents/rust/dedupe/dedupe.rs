//! dedupe: links what says the same twice.
//!
//! check, a hook after engram_create: each new engram is compared with those
//! that a search finds for it. Two are near-duplicates if they have the same
//! words that count, apart from their order, endings, slips of the hand and a
//! few more words on one side. A number, a name, a negation or one word in the
//! place of another makes two statements of them. The new engram is linked
//! `near_duplicate` to the old one, with the similarity as weight.
//!
//! config: "threshold", the least similarity (0.85); "most", how many engrams
//! of a batch are looked at.

#![crate_type = "cdylib"]

#[path = "../engram.rs"]
mod engram;
#[path = "../text.rs"]
mod text;
use engram::{actions, object, Json, Link, Query, Result};
use text::{words, Word};

actions! { tool_check => check }

fn check(params: Json) -> Result<Json> {
    let threshold = engram::config("threshold").number().unwrap_or(0.85);
    let most = engram::config("most").number().unwrap_or(50.0) as usize;
    let made = params["result"]["engrams"].list();
    let told = params["args"]["engrams"].list();
    let mut seen: Vec<(String, Vec<Word>)> = Vec::new();
    let mut links = Vec::new();
    for (new, told) in made.iter().zip(told).take(most) {
        let (id, content) = (new["id"].text(), told["content"].as_str());
        let ours = words(content);
        if new["duplicate"].bool() == Some(true) || ours.len() < 3 {
            continue;
        }
        let query: String = content.chars().take(400).collect();
        let fields = vec!["id".to_string(), "content".to_string()];
        let mut others: Vec<(String, Vec<Word>)> = Vec::new();
        for hit in engram::search(&Query { query, limit: 20, mode: "text".into(), fields, ..Query::default() })? {
            if !made.iter().any(|e| e["id"].as_str() == hit.id) {
                others.push((hit.id, words(&hit.content)));
            }
        }
        for (other, theirs) in others.iter().chain(&seen) {
            let alike = similarity(&ours, theirs);
            if alike >= threshold {
                links.push(Link::new(&id, other, "near_duplicate", alike));
            }
        }
        seen.push((id, ours));
    }
    if links.is_empty() {
        return Ok(object! {});
    }
    engram::link(&links)?;
    let told: Vec<Json> = links.iter().map(|l| object! { "id" => &l.from, "of" => &l.to, "weight" => l.weight }).collect();
    engram::give(object! { "annotation" => object! { "near_duplicates" => told } })
}

/// How much two texts say the same: 0 to 1, in hundredths.
fn similarity(a: &[Word], b: &[Word]) -> f64 {
    let (a, b): (Vec<&Word>, Vec<&Word>) = (a.iter().filter(|w| w.counts()).collect(), b.iter().filter(|w| w.counts()).collect());
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let (mut taken, mut pairs) = (vec![false; b.len()], Vec::new());
    for w in &a {
        if let Some(i) = (0..b.len()).find(|i| !taken[*i] && w.same(b[*i])) {
            taken[i] = true;
            pairs.push(i);
        }
    }
    let (mine, theirs) = (a.len() - pairs.len(), b.len() - pairs.len());
    let alone = a.iter().filter(|w| !b.iter().any(|v| w.same(v))).chain(b.iter().filter(|v| !a.iter().any(|w| w.same(v))));
    // What only one of them says must not change what the other says.
    if mine > 0 && theirs > 0 || alone.into_iter().any(|w| w.digit || NOT.contains(&w.text.as_str())) {
        return 0.0;
    }
    let bag = 2.0 * pairs.len() as f64 / (a.len() + b.len()) as f64;
    let order = in_order(&pairs) as f64 / pairs.len().max(1) as f64;
    // "Tea over coffee" is not "coffee over tea", nor "Ada calls Ben" "Ben calls Ada".
    if order < 0.5 || order < 1.0 && a.iter().any(|w| SIDES.contains(&w.text.as_str())) {
        return 0.0;
    }
    ((0.8 * bag + 0.2 * order) * 100.0 + 0.5).floor() / 100.0
}

/// Words that turn a statement round.
const NOT: &[&str] = &[
    "not", "no", "never", "none", "nobody", "nothing", "without", "don't", "doesn't", "isn't", "aren't", "wasn't", "won't", "can't", "cannot", "didn't", "hasn't", "haven't",
    "shouldn't", "longer", "anymore", "stopped", "former", "formerly", "except", "only", "if", "unless", "before", "after", "almost", "failed", "off", "out", "up", "down",
];

/// Words with something on either side of them.
const SIDES: &[&str] = &["over", "than", "before", "after", "instead", "into", "until", "since", "via"];

/// The most numbers of a list that rise from left to right.
fn in_order(list: &[usize]) -> usize {
    let mut best: Vec<usize> = Vec::new();
    for (i, x) in list.iter().enumerate() {
        let before = (0..i).filter(|j| list[*j] < *x).map(|j| best[j]).max().unwrap_or(0);
        best.push(before + 1);
    }
    best.into_iter().max().unwrap_or(0)
}
