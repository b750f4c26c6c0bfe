//! chain: links engrams in the order in which they are given.
//!
//! link: {"ids": ["a", "b", "c"], "relation": "then"} -> what engram_link gives
//! for the links a-then->b and b-then->c

#![crate_type = "cdylib"]

#[link(wasm_import_module = "engram")]
extern "C" {
    fn input_len() -> usize;
    fn input_read(to: *mut u8, room: usize) -> usize;
    fn output(at: *const u8, len: usize);
    fn call(op: *const u8, op_len: usize, json: *const u8, len: usize) -> i32;
    fn result_read(to: *mut u8, room: usize) -> usize;
}

fn input() -> String {
    let mut b = vec![0; unsafe { input_len() }];
    unsafe { input_read(b.as_mut_ptr(), b.len()) };
    String::from_utf8_lossy(&b).into_owned()
}

/// Calls a tool by its name. The error is JSON, too.
fn tool(op: &str, json: &str) -> Result<Vec<u8>, Vec<u8>> {
    let n = unsafe { call(op.as_ptr(), op.len(), json.as_ptr(), json.len()) };
    let mut b = vec![0; n.unsigned_abs() as usize];
    unsafe { result_read(b.as_mut_ptr(), b.len()) };
    if n < 0 { Err(b) } else { Ok(b) }
}

/// The strings of a JSON text, still quoted, in their order.
fn strings(json: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = None;
    let mut escaped = false;
    for (i, c) in json.char_indices() {
        match (from, c) {
            (None, '"') => from = Some(i),
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(start), '"') => {
                found.push(&json[start..=i]);
                from = None;
            }
            _ => {}
        }
    }
    found
}

fn chain(params: &str) -> Result<Vec<u8>, Vec<u8>> {
    let list = params.find('[').zip(params.rfind(']')).filter(|(a, b)| a < b);
    let (open, close) = list.ok_or(r#"{"message":"ids must be a list"}"#)?;
    let ids = strings(&params[open..close]);
    if ids.len() < 2 {
        return Err(br#"{"message":"a chain needs two ids or more"}"#.to_vec());
    }
    let rest = [strings(&params[..open]), strings(&params[close..])].concat();
    let relation = rest.iter().position(|s| *s == "\"relation\"").and_then(|i| rest.get(i + 1)).unwrap_or(&"\"next\"");
    let links: Vec<String> = ids.windows(2)
        .map(|w| format!(r#"{{"from":{},"to":{},"relation":{}}}"#, w[0], w[1], relation))
        .collect();
    tool("engram_link", &format!(r#"{{"links":[{}]}}"#, links.join(",")))
}

#[no_mangle]
pub extern "C" fn tool_link() -> i32 {
    let (json, code) = match chain(&input()) {
        Ok(json) => (json, 0),
        Err(json) => (json, 1),
    };
    unsafe { output(json.as_ptr(), json.len()) };
    code
}
