// The globals that a program finds, over the few functions of the host. It
// gives back what is to run before and after each call, and what describes an
// action.
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

  const { isArray } = Array, { stringify } = JSON, { entries } = Object;
  const call = host.callWith(EngramError);
  const isObject = (v) => typeof v === "object" && v !== null;
  const listOf = (v) => (isArray(v) ? v : [v]);

  const engram = {
    call,
    create(content, source, confidence) {
      if (isArray(content)) return call("engram_create", { engrams: content }).engrams;
      if (isObject(content)) return call("engram_create", content).engrams[0];
      return call("engram_create", { content, source, confidence }).engrams[0].id;
    },
    get(id, options) {
      const { engrams } = call("engram_get", { ...options, ids: listOf(id) });
      return isArray(id) ? engrams : engrams[0] ?? null;
    },
    search(query, options) {
      const { hits, cursor } = call("engram_search", isObject(query) ? query : { ...options, query });
      return Object.defineProperty(hits, "cursor", { value: cursor });
    },
    *each(filter) {
      let cursor;
      do {
        const page = call("engram_search", { limit: 200, max_tokens: 100_000, ...filter, cursor });
        yield* page.hits;
        cursor = page.cursor;
      } while (cursor);
    },
    update: (id, fields) => call("engram_update", { ...fields, id }).engram,
    link(from, to, relation, weight) {
      const { links } = call("engram_link", { links: isObject(from) ? listOf(from) : [{ from, to, relation, weight }] });
      return isArray(from) ? links : links[0];
    },
    unlink: (from, to, relation) => call("engram_unlink", { links: isObject(from) ? listOf(from) : [{ from, to, relation }] }),
    forget: (id) => call("engram_forget", isObject(id) && !isArray(id) ? id : { ids: listOf(id) }),
    graph: (start, options) => call("engram_graph", { ...options, start: listOf(start) }),
    history: (id, options) => call("engram_history", { ...options, id }),
  };

  // Actions that say what they take. is makes the types of parameters, JSON
  // schemas all of them; tool makes a function and such parameters into an
  // action.
  const declared = new WeakMap();
  const kind = (type) => (description, more) => ({ type, description, ...more });
  const schema = (fields) => {
    const made = { type: "object", properties: {}, required: [], additionalProperties: false };
    for (const [name, field] of entries(fields)) {
      if (!field?.type) throw new TypeError(`${name} needs a type, such as is.string("what it is")`);
      const { optional, ...property } = field;
      made.properties[name] = property;
      if (!optional && property.default === undefined) made.required.push(name);
    }
    return made;
  };
  const is = {
    string: kind("string"),
    integer: kind("integer"),
    number: kind("number"),
    boolean: kind("boolean"),
    oneOf: (values, description, more) => ({ type: "string", enum: values, description, ...more }),
    list: (items, description, more) => ({ type: "array", items, description, ...more }),
    object: (fields, description, more) => ({ ...schema(fields), description, ...more }),
  };
  const tool = (description, params, run, { returns, readOnly } = {}) => {
    const input_schema = schema(params);
    const defaults = {};
    for (const [name, field] of entries(params)) if (field.default !== undefined) defaults[name] = field.default;
    const action = (given) => run({ ...defaults, ...given });
    declared.set(action, { description, input_schema, output_schema: returns && schema(returns), read_only: readOnly });
    return action;
  };
  const describe = (action) => ({ ...declared.get(action) });

  const text = (values) => values.map((v) => (typeof v === "string" ? v : v instanceof Error ? String(v) : stringify(v) ?? String(v))).join(" ");
  const logger = (level) => (...values) => host.log(level, text(values));
  const levels = { debug: logger(0), info: logger(1), warn: logger(2), error: logger(3) };

  // The globals of this call, which are read when they are first asked for,
  // and their JSON as it was then.
  let seen, held, before;
  const lazy = (key, get, set) => Object.defineProperty(globalThis, key, { get, set, enumerable: true });
  const hold = (value) => { seen = true; held = value; };
  lazy("globals", () => {
    if (!seen) hold(call("globals_get")), before = stringify(held);
    return held;
  }, hold);

  let config;
  lazy("config", () => (config ??= host.config()));

  Object.assign(globalThis, {
    engram,
    tool,
    is,
    EngramError,
    log: Object.assign(logger(1), levels),
    console: { log: levels.info, ...levels },
    nowMs: host.nowMs,
    deadlineMs: host.deadlineMs,
    fuelLeft: host.fuelLeft,
    emit: host.emit,
  });
  Math.random = host.random;

  const begin = () => { seen = held = before = undefined; };
  const finish = () => {
    if (seen && (held === undefined || stringify(held) !== before)) call("globals_set", held ?? null);
  };
  return [begin, finish, describe];
}
