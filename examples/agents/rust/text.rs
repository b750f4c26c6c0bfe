//! text: what several agents ask of a text: its sentences, its words, which of
//! them count, and whether two are the same word.

#![allow(dead_code)] // an agent uses a part of this file

/// A word: a run of letters and digits, with - ' . _ inside of it.
#[derive(Clone, Debug)]
pub struct Word {
    /// In lower case.
    pub text: String,
    /// It begins with a capital letter.
    pub capital: bool,
    /// It has a digit.
    pub digit: bool,
}

impl Word {
    fn of(text: &str) -> Word {
        Word {
            text: lower(text),
            capital: capital(text),
            digit: text.bytes().any(|b| b.is_ascii_digit()),
        }
    }

    /// The word without the endings that change with its place in a sentence.
    pub fn stem(&self) -> &str {
        stem(&self.text)
    }

    /// It says something by itself.
    pub fn counts(&self) -> bool {
        !STOP.contains(&self.text.as_str())
    }

    /// The same word, but for case, ending and, in longer words that are no
    /// names or numbers, a slip of the hand.
    pub fn same(&self, other: &Word) -> bool {
        if self.stem() == other.stem() {
            return true;
        }
        let fixed = self.capital || other.capital || self.digit || other.digit;
        let shortest = self.text.len().min(other.text.len());
        !fixed && shortest >= 5 && slips(&self.text, &other.text, 2) <= 1 + (shortest >= 9) as usize
    }
}

/// The text in lower case: Latin, Greek and Cyrillic. The standard library knows
/// all scripts and brings 22 KB of tables.
pub fn lower(text: &str) -> String {
    text.chars().map(small).collect()
}

/// Whether a text begins with a capital letter.
pub fn capital(text: &str) -> bool {
    text.chars().next().map_or(false, |c| small(c) != c)
}

fn small(c: char) -> char {
    let n = c as u32;
    let by = match n {
        0x41..=0x5a => 32,
        0xc0..=0xde if n != 0xd7 => 32,
        0x100..=0x137 | 0x14a..=0x177 if n % 2 == 0 => 1,
        0x139..=0x148 | 0x179..=0x17e if n % 2 == 1 => 1,
        0x391..=0x3a9 | 0x410..=0x42f => 32,
        0x400..=0x40f => 80,
        _ => 0,
    };
    char::from_u32(n + by).unwrap_or(c)
}

/// Words that tell little about what a sentence says.
const STOP: &[&str] = &[
    "a", "about", "actually", "also", "am", "an", "and", "are", "as", "at", "basically", "be", "been", "but", "by", "can", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "hers", "him", "his", "i", "in", "is", "it", "its", "just", "me", "my", "of", "on",
    "or", "our", "please", "really", "she", "so", "that", "the", "their", "them", "there", "these", "they", "this", "those", "to", "us", "very",
    "was", "we", "well", "were", "which", "who", "will", "with", "you", "your", "that's", "it's", "i'm",
];

pub fn stem(word: &str) -> &str {
    let word = word.strip_suffix("'s").unwrap_or(word);
    let long = word.len() > 3 && word.is_ascii();
    match () {
        _ if long && word.ends_with("sses") => &word[..word.len() - 2],
        _ if long && word.ends_with("ies") => &word[..word.len() - 3],
        _ if long && word.ends_with('y') => &word[..word.len() - 1],
        _ if long && word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is") => &word[..word.len() - 1],
        _ => word,
    }
}

pub fn words(text: &str) -> Vec<Word> {
    let mut list = Vec::new();
    let (mut start, mut end) = (None, 0); // of the word at hand
    for (i, c) in text.char_indices() {
        if c.is_alphanumeric() {
            // One mark may stand inside of a word, and only there.
            if start.is_some() && end < i && !(i - end == 1 && b"-'._".contains(&text.as_bytes()[end])) {
                list.push(Word::of(&text[start.unwrap_or(0)..end]));
                start = None;
            }
            start = start.or(Some(i));
            end = i + c.len_utf8();
        }
    }
    if let Some(start) = start {
        list.push(Word::of(&text[start..end]));
    }
    list
}

/// The sentences and lines of a text, without white space around them.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut list = Vec::new();
    let mut start = 0;
    let mut before = ' ';
    for (i, c) in text.char_indices() {
        if c == '\n' || c.is_whitespace() && matches!(before, '.' | '!' | '?') {
            list.push(text[start..i].trim());
            start = i;
        }
        before = c;
    }
    list.push(text[start..].trim());
    list.retain(|s| !s.is_empty());
    list
}

/// How many letters must be put in, left out, changed or swapped with the next
/// one to make b of a; most + 1 stands for more than that.
pub fn slips(a: &str, b: &str, most: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().max(b.len()) - a.len().min(b.len()) > most {
        return most + 1;
    }
    let mut rows = [vec![0; b.len() + 1], vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        rows.rotate_left(1);
        rows[2][0] = i;
        for j in 1..=b.len() {
            let change = (a[i - 1] != b[j - 1]) as usize;
            let mut best = (rows[1][j] + 1).min(rows[2][j - 1] + 1).min(rows[1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
    }
    rows[2][b.len()].min(most + 1)
}
