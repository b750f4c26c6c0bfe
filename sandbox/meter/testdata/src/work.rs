// A Rust guest: allocation, maps, strings and formatting of the standard
// library, and a panic that becomes a trap.
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

#[no_mangle]
pub extern "C" fn map(n: u32) -> u32 {
    let mut m = BTreeMap::new();
    let mut x = 1u32;
    for i in 0..n {
        x = x.wrapping_mul(1103515245).wrapping_add(12345);
        m.insert(x % 1000, i);
    }
    m.iter().fold(0u32, |a, (k, v)| a.wrapping_mul(31).wrapping_add(k ^ v))
}

#[no_mangle]
pub extern "C" fn words(n: u32) -> u32 {
    let mut count: HashMap<String, u32, std::hash::BuildHasherDefault<std::collections::hash_map::DefaultHasher>> = HashMap::default();
    for i in 0..n {
        let mut s = String::new();
        write!(s, "word-{:x}", i * i % 97).unwrap();
        *count.entry(s).or_insert(0) += i;
    }
    let mut all: Vec<_> = count.into_iter().collect();
    all.sort();
    all.iter().fold(7u32, |a, (k, v)| a.wrapping_mul(33).wrapping_add(*v).wrapping_add(k.len() as u32))
}

#[no_mangle]
pub extern "C" fn fail(n: u32) -> u32 {
    let v: Vec<u32> = (0..n).collect();
    v[(n + 1) as usize]
}
