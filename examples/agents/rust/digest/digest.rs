//! digest: keeps a summary of a context, made of its own sentences.
//!
//! write: {"context": "standup", "sentences": 5} -> {"digests": [{"context",
//! "id", "state"}]}, where state is new, changed, same or empty. Without a
//! context it does so for every context of the newest engrams.
//!
//! The sentences are those whose words come up most in the context, but not
//! everywhere; what has been picked counts less from then on, so that they tell
//! different things (after SumBasic). The summary is an engram of kind digest in the same
//! context, so that it is read by nobody who may not read the context, and is
//! linked `summarizes` to the engrams it quotes. Engrams in collections are left
//! out, because others may read those. The agent's globals keep what each
//! context looked like, and nothing is written when it still does.

#![crate_type = "cdylib"]

#[path = "../engram.rs"]
mod engram;
#[path = "../text.rs"]
mod text;
use engram::{actions, object, Engram, Json, Link, Query, Result};
use text::{sentences, words};

actions! { tool_write => write }

/// The most engrams of a context that are looked at, the newest ones.
const MOST: usize = 2000;

fn write(params: Json) -> Result<Json> {
    let count = params["sentences"].number().or(engram::config("sentences").number()).unwrap_or(5.0).clamp(1.0, 50.0) as usize;
    let mut kept = engram::globals()?;
    let contexts = match params["context"].as_str() {
        "" => recent()?,
        context => vec![context.to_string()],
    };
    let mut told = Vec::new();
    for context in contexts {
        let (id, state) = digest(&context, count, kept.at("contexts"))?;
        told.push(object! { "context" => context, "id" => id, "state" => state });
    }
    trim(kept.at("contexts"));
    engram::set_globals(&kept)?;
    Ok(object! { "digests" => told })
}

/// Globals hold so many contexts; the ones written longest ago go first.
fn trim(contexts: &mut Json) {
    if let Json::Object(members) = contexts {
        let over = members.len().saturating_sub(300);
        members.drain(..over);
    }
}

/// The contexts of the newest engrams.
fn recent() -> Result<Vec<String>> {
    let fields = vec!["id".to_string(), "context".to_string(), "kind".to_string()];
    let mut contexts: Vec<String> = Vec::new();
    for e in engram::search(&Query { limit: 200, fields, ..Query::default() })? {
        if !e.context.is_empty() && !contexts.contains(&e.context) {
            contexts.push(e.context);
        }
    }
    Ok(contexts)
}

/// Brings the digest of a context up to date: its id, and what was done.
fn digest(context: &str, count: usize, known: &mut Json) -> Result<(String, &'static str)> {
    let sources = engrams(context)?;
    if sources.is_empty() {
        return Ok((String::new(), "empty"));
    }
    let mark = fingerprint(&sources, count);
    let before = known.take(context);
    let old = match before["id"].as_str() {
        "" => None,
        id => engram::get(&[id.to_string()], true)?.pop().filter(|e| e.context == context),
    };
    if let (Some(old), true) = (&old, before["mark"].as_str() == mark) {
        known.set(context, before.clone());
        return Ok((old.id.clone(), "same"));
    }
    let picked = pick(&sources, count);
    let content: Vec<String> = picked.iter().map(|(i, s)| format!("- {}{}", speaker(&sources[*i]), s)).collect();
    let last = sources.last().map_or("", |e| e.time());
    let mut fields = object! { "content" => content.join("\n"), "kind" => "digest", "valid_from" => last };
    fields.set("metadata", object! { "engrams" => sources.len(), "since" => sources[0].time(), "until" => last });
    let (id, state) = match &old {
        Some(old) => (engram::update(&old.id, fields)?.id, "changed"),
        None => {
            fields.set("context", context);
            fields.set("allow_duplicate", true);
            (engram::create(vec![fields], "")?.first().map_or(String::new(), |e| e["id"].text()), "new")
        }
    };
    relink(&id, old.map_or(Vec::new(), |o| o.links), picked.iter().map(|(i, _)| sources[*i].id.clone()).collect())?;
    // Members that were removed by take are null; the newest comes last.
    if let Json::Object(members) = known {
        members.retain(|(k, v)| k != context && !v.is_null());
    }
    known.set(context, object! { "id" => &id, "mark" => mark });
    Ok((id, state))
}

/// The engrams of a context in their order, without digests and what is in
/// collections.
fn engrams(context: &str) -> Result<Vec<Engram>> {
    let mut list: Vec<Engram> = Vec::new();
    let mut cursor = String::new();
    loop {
        let (page, next) = engram::search_page(&Query { context: context.into(), limit: 200, cursor, ..Query::default() })?;
        list.extend(page);
        cursor = next;
        if cursor.is_empty() || list.len() >= MOST {
            break;
        }
    }
    list.retain(|e| e.kind != "digest" && e.collections.is_empty() && e.context == context);
    list.sort_by(|a, b| a.time().cmp(b.time()).then(a.id.cmp(&b.id)));
    Ok(list)
}

/// A text that changes with what a digest is made of (FNV-1a).
fn fingerprint(sources: &[Engram], count: usize) -> String {
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    for e in sources {
        for b in e.id.bytes().chain(e.content.bytes()).chain(e.source.bytes()).chain(e.time().bytes()).chain([0]) {
            h = (h ^ b as u64).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{:016x}.{}.{}", h, sources.len(), count)
}

/// Sentences as they were said: which engram each is of, and their text.
fn pick(sources: &[Engram], count: usize) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String, Vec<usize>)> = Vec::new();
    let (mut vocabulary, mut share): (Vec<String>, Vec<f64>) = (Vec::new(), Vec::new());
    for (i, e) in sources.iter().enumerate() {
        for s in sentences(&e.content) {
            let mut told: Vec<usize> = Vec::new();
            for w in words(s).iter().filter(|w| w.counts()) {
                let stem = w.stem();
                let n = vocabulary.iter().position(|v| v == stem).unwrap_or_else(|| {
                    vocabulary.push(stem.into());
                    share.push(0.0);
                    vocabulary.len() - 1
                });
                if !told.contains(&n) {
                    told.push(n);
                }
            }
            // A question or half a sentence says little, and what was said in the
            // same words before is a phrase.
            let text = s.trim_start_matches(|c: char| "-*#> ".contains(c));
            if (3..=40).contains(&told.len()) && !s.ends_with('?') && s.len() <= 400 && !all.iter().any(|a| a.1 == text) {
                told.iter().for_each(|n| share[*n] += 1.0);
                all.push((i, text.to_string(), told));
            }
        }
    }
    let mut picked: Vec<usize> = Vec::new();
    // Words that are everywhere tell nothing of what is said here.
    let common = all.len() as f64 / 20.0;
    share.iter_mut().filter(|p| **p > common.max(6.0)).for_each(|p| *p = 0.0);
    let total: f64 = share.iter().sum();
    share.iter_mut().for_each(|p| *p /= total.max(1.0));
    while picked.len() < count {
        let mut best: Option<(f64, usize)> = None;
        for (i, (_, _, told)) in all.iter().enumerate() {
            let worth = told.iter().map(|n| share[*n]).sum::<f64>() / (told.len() as f64 + 6.0);
            if !picked.contains(&i) && best.map_or(true, |(b, _)| worth > b) {
                best = Some((worth, i));
            }
        }
        let (_, i) = match best {
            Some(b) => b,
            None => break,
        };
        all[i].2.iter().for_each(|n| share[*n] *= share[*n]);
        picked.push(i);
    }
    picked.sort_unstable();
    picked.into_iter().map(|i| (all[i].0, all[i].1.clone())).collect()
}

/// Who said it, when it is known.
fn speaker(e: &Engram) -> String {
    if e.source.is_empty() { String::new() } else { format!("{}: ", e.source) }
}

/// Makes the links of a digest those to the engrams that it quotes.
fn relink(id: &str, before: Vec<Link>, mut sources: Vec<String>) -> Result<()> {
    sources.dedup();
    let ours = |l: &&Link| l.from == id && l.relation == "summarizes";
    let gone: Vec<Json> = before.iter().filter(ours).filter(|l| !sources.contains(&l.to))
        .map(|l| object! { "from" => &l.from, "to" => &l.to, "relation" => "summarizes" }).collect();
    if !gone.is_empty() {
        engram::call("engram_unlink", &object! { "links" => gone })?;
    }
    let known: Vec<&str> = before.iter().filter(ours).map(|l| l.to.as_str()).collect();
    let new: Vec<Link> = sources.iter().filter(|s| !known.contains(&s.as_str())).map(|s| Link::new(id, s, "summarizes", 1.0)).collect();
    engram::link(&new)
}
