// What a program finds: types for editors and for tsc. Put this file beside the
// program and begin it with
//
//   /// <reference path="engram.d.ts" />
//
// The language is ES2024 without modules to import, timers, fetch, files,
// workers or Intl.

/** A time, RFC 3339 or YYYY-MM-DD. */
type Time = string;

/** One thing that is remembered. */
interface Engram {
  id: string;
  content: string;
  kind: string;
  source?: string;
  /** The principal that created it. */
  author?: string;
  trust?: string;
  /** 0 to 1 */
  confidence: number;
  /** 0 to 1 */
  importance: number;
  tags?: string[];
  metadata?: Record<string, any>;
  context?: string;
  collections?: string[];
  valid_from?: Time;
  valid_to?: Time;
  expires_at?: Time;
  created_at: Time;
  updated_at: Time;
  version: number;
  /** With `include_links`. */
  links?: Link[];
}

/** What a search finds; with `fields` it has those alone. */
interface Hit extends Engram {
  score: number;
  /** With `explain`. */
  parts?: Record<string, number>;
}

interface Link {
  from: string;
  to: string;
  relation: string;
  /** 0 to 1 */
  weight: number;
  metadata?: Record<string, any>;
  valid_from?: Time;
  valid_to?: Time;
}

interface NewLink {
  from: string;
  to: string;
  relation: string;
  /** 0 to 1, 1 if absent */
  weight?: number;
  metadata?: Record<string, any>;
  valid_from?: Time;
  valid_to?: Time;
}

interface EngramFields {
  source?: string;
  /** 0 to 1, 1 if absent */
  confidence?: number;
  /** 0 to 1 */
  importance?: number;
  kind?: string;
  tags?: string[];
  metadata?: Record<string, any>;
  context?: string;
  collections?: string[];
  valid_from?: Time;
  valid_to?: Time;
  ttl_seconds?: number;
}

interface NewEngram extends EngramFields {
  content: string;
  allow_duplicate?: boolean;
  links?: { to: string; relation: string; weight?: number }[];
}

interface Created {
  id: string;
  created_at: Time;
  version: number;
  duplicate?: boolean;
}

interface Filter {
  context?: string;
  /** In any of them. */
  collections?: string[];
  /** Has all of them. */
  tags?: string[];
  kind?: string;
  source?: string;
  after?: Time;
  before?: Time;
  valid_at?: Time;
  min_confidence?: number;
}

interface SearchOptions extends Filter {
  /** At most 200, 10 if absent. */
  limit?: number;
  /** `cursor` of the hits before. */
  cursor?: string;
  max_tokens?: number;
  mode?: "hybrid" | "text" | "vector";
  explain?: boolean;
  fields?: string[];
}

/** Hits, the best first; `cursor` is there while there are more. */
type Hits = Hit[] & { readonly cursor?: string };

interface GraphOptions {
  mode?: "neighbors" | "path" | "subgraph";
  /** The goal of a path. */
  to?: string;
  depth?: number;
  relations?: string[];
  limit?: number;
}

/**
 * The memory. Every function calls one tool, which the manifest must grant, and
 * throws an {@link EngramError} if it is refused. Nothing has to be awaited.
 * What is written takes effect when the action has returned, all of it or
 * nothing.
 */
declare const engram: {
  /** Calls any tool by its name, such as `"engram_get"`. */
  call(tool: string, args?: object): any;

  /** Creates an engram and returns its id. */
  create(content: string, source?: string, confidence?: number): string;
  create(engram: NewEngram): Created;
  create(engrams: NewEngram[]): Created[];

  /** Returns the engram, or null if there is none to be seen. */
  get(id: string, options?: { include_links?: boolean }): Engram | null;
  /** Returns those that can be seen. */
  get(ids: string[], options?: { include_links?: boolean }): Engram[];

  /** Searches; without a query it returns the newest. */
  search(query: string, options?: SearchOptions): Hits;
  search(options: SearchOptions & { query?: string }): Hits;

  /** Every match, fetched page by page as it is walked. */
  each(filter?: SearchOptions & { query?: string }): Generator<Hit, void, undefined>;

  update(id: string, fields: EngramFields & { content?: string; if_version?: number }): Engram;

  link(from: string, to: string, relation: string, weight?: number): Link;
  link(link: NewLink): Link;
  link(links: NewLink[]): Link[];

  unlink(from: string, to: string, relation: string): { links: Link[] };
  unlink(links: Pick<Link, "from" | "to" | "relation">[]): { links: Link[] };

  forget(id: string | string[]): { forgotten: string[] };
  forget(args: { ids?: string[]; filter?: Filter; purge?: boolean; dry_run?: boolean; confirm?: string }): { forgotten: string[]; confirm?: string; more?: boolean };

  /** Walks links from one engram or several. */
  graph(start: string | string[], options?: GraphOptions): { engrams: Engram[]; links: Link[]; truncated?: boolean };

  /** The versions of an engram, the newest first. */
  history(id: string, options?: { cursor?: string; limit?: number }): { versions: Record<string, any>[]; cursor?: string };
};

/** A parameter of an action, or a part of its result: a JSON schema. */
interface Field<T> {
  readonly type: string;
  /** Only for the compiler. */
  readonly of?: T;
}

/** More of a field's schema, such as `minimum`, `maxLength` or `pattern`. */
interface Keywords<T> {
  default?: T;
  [keyword: string]: unknown;
}

interface Typed<T> {
  (about: string | undefined, more: Keywords<T> & { optional: true }): Field<T | undefined>;
  (about?: string, more?: Keywords<T>): Field<T>;
}

type Values<F> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** Types for {@link tool}. What is `optional` may be left out, and what has a `default` is filled in. */
declare const is: {
  string: Typed<string>;
  integer: Typed<number>;
  number: Typed<number>;
  boolean: Typed<boolean>;
  oneOf<const V extends string>(values: readonly V[], about: string | undefined, more: Keywords<V> & { optional: true }): Field<V | undefined>;
  oneOf<const V extends string>(values: readonly V[], about?: string, more?: Keywords<V>): Field<V>;
  list<T>(items: Field<T>, about: string | undefined, more: Keywords<T[]> & { optional: true }): Field<T[] | undefined>;
  list<T>(items: Field<T>, about?: string, more?: Keywords<T[]>): Field<T[]>;
  object<F extends Record<string, Field<any>>>(fields: F, about: string | undefined, more: Keywords<Values<F>> & { optional: true }): Field<Values<F> | undefined>;
  object<F extends Record<string, Field<any>>>(fields: F, about?: string, more?: Keywords<Values<F>>): Field<Values<F>>;
};

/**
 * Makes an action that says what it takes: `export const add = tool(…)`. The
 * manifest need not name it; what it is called with has been checked.
 */
declare function tool<F extends Record<string, Field<any>>, R>(
  about: string,
  params: F,
  run: (params: Values<F>) => R,
  more?: { returns?: Record<string, Field<any>>; readOnly?: boolean },
): (params: Values<F>) => R;

/** An operation that was refused or failed. */
declare class EngramError extends Error {
  /** Such as `"denied"` or `"not_found"`. */
  readonly code: string;
  /** What would help. */
  readonly hint?: string;
}

/**
 * What the agent remembers from call to call: a JSON object of at most 64 KiB,
 * kept if the action succeeds.
 */
declare var globals: Record<string, any>;

/** `config` of the manifest. */
declare const config: Record<string, any>;

interface Log {
  (...values: unknown[]): void;
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}

/** Logs a line, which the caller sees. `log(…)` is `log.info(…)`. */
declare const log: Log;
/** Another name for {@link log}. */
declare const console: Omit<Log, never> & { log: Log["info"] };

/** Sends the caller a message of progress, as JSON. */
declare function emit(value: unknown): void;

/** The time, in milliseconds since 1970. `Date` stands still during a call. */
declare function nowMs(): number;
/** When the call will be stopped, on the clock of {@link nowMs}. */
declare function deadlineMs(): number;
/** How much more the call may compute. */
declare function fuelLeft(): number;

declare function queueMicrotask(callback: () => void): void;
