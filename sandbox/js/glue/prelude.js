// The globals that a program finds, over the few functions of the host. It
// gives back what is to run before and after each call.
(host) => {
  "use strict";

  /** An operation that was refused or failed: code, message and a hint. */
  class EngramError extends Error {
    constructor(of) {
      super(of.message);
      this.code = of.code;
      if (of.hint) this.hint = of.hint;
    }
  }
  Object.defineProperty(EngramError.prototype, "name", { value: "EngramError", configurable: true, writable: true });

  const { isArray } = Array, { stringify } = JSON;
  const call = host.callWith(EngramError);
  const defined = (o) => typeof o === "object" && o !== null;

  const engram = {
    call,
    create(content, source, confidence) {
      if (isArray(content)) return call("engram_create", { engrams: content }).engrams.map((e) => e.id);
      return call("engram_create", defined(content) ? content : { content, source, confidence }).engrams[0].id;
    },
    get(id) {
      const found = call("engram_get", { ids: isArray(id) ? id : [id] }).engrams;
      return isArray(id) ? found : found[0] ?? null;
    },
    search(query, options) {
      const { hits, cursor } = call("engram_search", defined(query) ? query : { query, ...options });
      return Object.defineProperty(hits, "cursor", { value: cursor });
    },
    update: (id, fields) => call("engram_update", { id, ...fields }).engram,
    forget: (what) => call("engram_forget", isArray(what) ? { ids: what } : defined(what) ? what : { ids: [what] }),
    link(from, to, relation, weight) {
      if (isArray(from)) return call("engram_link", { links: from }).links;
      return call("engram_link", { links: [defined(from) ? from : { from, to, relation, weight }] }).links[0];
    },
    unlink(from, to, relation) {
      if (isArray(from)) return call("engram_unlink", { links: from });
      return call("engram_unlink", { links: [defined(from) ? from : { from, to, relation }] });
    },
    graph: (start, options) => call("engram_graph", { mode: "neighbors", ...options, start }),
    history: (id, options) => call("engram_history", { ...options, id }),
  };

  const text = (values) => values.map((v) => (typeof v === "string" ? v : v instanceof Error ? String(v) : stringify(v) ?? String(v))).join(" ");
  const logger = (level) => (...values) => host.log(level, text(values));
  const levels = { debug: logger(0), info: logger(1), warn: logger(2), error: logger(3) };

  // The globals of this call, read when they are first asked for, and their
  // JSON as it was then.
  let held, before;
  const lazy = (o, key, get, set) => Object.defineProperty(o, key, { get, set, enumerable: true });
  lazy(globalThis, "globals", () => {
    if (held === undefined) before = stringify(held = call("globals_get"));
    return held;
  }, (value) => { held = value; });

  let config;
  lazy(globalThis, "config", () => (config ??= host.config()));

  Object.assign(globalThis, {
    engram,
    EngramError,
    log: Object.assign(logger(1), levels),
    console: { log: levels.info, ...levels },
    nowMs: host.nowMs,
    deadlineMs: host.deadlineMs,
    fuelLeft: host.fuelLeft,
    emit: host.emit,
  });
  Math.random = host.random;

  const begin = () => { held = before = undefined; };
  const finish = () => {
    if (held !== undefined && stringify(held) !== before) call("globals_set", held);
  };
  return [begin, finish];
}
