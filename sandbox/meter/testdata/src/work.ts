// An AssemblyScript guest: its own allocator and garbage collector, strings,
// arrays with closures, maps and 64-bit numbers.
export function primes(n: i32): i32 {
  const found = new Array<i32>();
  for (let i = 2; i < n; i++) {
    let prime = true;
    for (let k = 0; k < found.length && found[k] * found[k] <= i; k++) {
      if (i % found[k] == 0) { prime = false; break; }
    }
    if (prime) found.push(i);
  }
  return found.reduce((a, b) => a * 31 + b, 1);
}

export function text(n: i32): i32 {
  const seen = new Map<string, i32>();
  for (let i = 0; i < n; i++) {
    const s = "k" + (i % 17).toString() + ":" + (i * i).toString(16);
    seen.set(s.substring(0, 4), i);
  }
  let h: u64 = 14695981039346656037;
  const keys = seen.keys();
  for (let i = 0; i < keys.length; i++) {
    for (let j = 0; j < keys[i].length; j++) h = (h ^ keys[i].charCodeAt(j)) * 1099511628211;
  }
  return i32(h >> 7);
}
