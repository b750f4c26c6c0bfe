// ingest: makes engrams of a Markdown text or of a conversation.
//
// text: {"text", "context", "format"?, "source"?, "time"?, "request_id"?} ->
// {"format", "engrams": [ids in their order], "links": how many}
//
// markdown: a heading is an engram of kind section, a paragraph, list, table or
// block of code one of kind note; each is linked part_of to the section that it
// stands in. jsonl: a turn on each line, or a list of them, with a role or name,
// a content and perhaps a time. chat: "Name: text" lines, perhaps after a date
// and time; lines without a name go on with the turn before. Turns are engrams
// of kind turn with the speaker as source.
//
// All go into the context in the order of the text. With a request_id, a UUID,
// a repeated call changes nothing and gives the same ids.

/** As many engrams as one call of engram_create takes. */
const MOST = 1000;

/** The most bytes of an engram; longer paragraphs are cut between sentences. */
const LONGEST = 4000;

const READERS = { markdown, jsonl, chat };

export function text(params) {
  const given = params.text.replaceAll("\r\n", "\n");
  const format = params.format ?? guess(given);
  const parts = READERS[format](given).filter(({ content }) => content.trim());
  if (!parts.length) throw new Error("there is nothing to remember in the text");
  if (parts.length > MOST) throw new Error(`the text has ${parts.length} parts, more than ${MOST}: give it in several pieces`);
  const { request_id } = params;
  const engrams = parts.map((part) => engramOf(part, params));
  const ids = engram.call("engram_create", { engrams, request_id }).engrams.map(({ id }) => id);
  const idOf = new Map(parts.map((part, i) => [part, ids[i]]));
  const inside = parts.filter((part) => idOf.has(part.section) && idOf.get(part) !== idOf.get(part.section));
  const links = inside.map((part) => ({ from: idOf.get(part), to: idOf.get(part.section), relation: "part_of" }));
  if (links.length) engram.link(links);
  return { format, engrams: ids, links: links.length };
}

/**
 * The engram of a part, with what the caller says of the whole text where the
 * part itself says nothing. Turns that repeat are kept apart by a request_id.
 */
function engramOf({ content, kind, source, time, metadata }, params) {
  const { context, collections, request_id } = params;
  const said = { source: source || params.source, valid_from: time || params.time };
  return { content: content.trim(), kind, context, collections, metadata, allow_duplicate: request_id ? true : undefined, ...said };
}

/** The format of a text that does not say it. */
function guess(text) {
  const start = text.trimStart();
  if (start[0] === "{" || (start[0] === "[" && parse(start) !== undefined)) return "jsonl";
  const lines = text.split("\n").filter((line) => line.trim());
  const turns = lines.filter(turn).length;
  return turns >= 2 && turns * 2 >= lines.length && !lines.some(heading) ? "chat" : "markdown";
}

/** The value of a JSON text; undefined if it is none. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// ---- Markdown ----

/** The level and title of a heading, which may have # after it too. */
function heading(line) {
  const [, marks, title] = line.match(/^(#{1,6}) (.*\S.*)$/) ?? [];
  return marks && { level: marks.length, title: title.trim().replace(/#+$/, "").trimEnd() };
}

function markdown(text) {
  const parts = [];
  const open = []; // the sections around, outermost first
  let block = "";
  let fence;
  const note = () => {
    parts.push(...pieces(block.trimEnd()).map((content) => ({ content, kind: "note", section: open.at(-1) })));
    block = "";
  };
  // YAML between lines of --- at the beginning is not part of the text.
  for (const line of text.replace(/^---\n[^]*?\n---\n/, "").split("\n")) {
    const title = fence ? undefined : heading(line);
    if (title || (!fence && !line.trim())) note();
    else block += `${line}\n`;
    if (title) {
      while (open.length && open.at(-1).metadata.level >= title.level) open.pop();
      const section = { content: title.title, kind: "section", metadata: { level: title.level }, section: open.at(-1) };
      parts.push(section);
      open.push(section);
    }
    const [mark] = line.match(/(?<=^\s*)(```|~~~)/) ?? [];
    if (mark && (!fence || fence === mark)) fence = fence ? undefined : mark;
  }
  note();
  return parts;
}

/** A block as it is or, if it is long, cut after lines, sentences or words. */
function pieces(block) {
  const list = [];
  while (block) {
    const end = cut(block);
    list.push(block.slice(0, end));
    block = block.slice(end).trimStart();
  }
  return list;
}

function cut(text) {
  if (size(text) <= LONGEST) return text.length;
  let [most, bytes] = [0, 0];
  for (const letter of text) {
    if ((bytes += size(letter)) > LONGEST) break;
    most += letter.length;
  }
  const head = text.slice(0, most);
  const ends = ["\n", ". ", " "].map((mark) => head.lastIndexOf(mark) + mark.length);
  return ends.find((end) => size(head.slice(0, end)) > LONGEST / 4) ?? most;
}

/** The bytes of a text in UTF-8. */
const size = (text) => text.length + (text.match(/[\u0080-\uffff]/g)?.length ?? 0) + (text.match(/[\u0800-\ud7ff\ue000-\uffff]/g)?.length ?? 0);

// ---- Conversations ----

/** The time, speaker and words of a line such as "[2024-05-07 10:00] Ada: Hello". */
function turn(line) {
  if (/^\s/.test(line)) return undefined; // it goes on with the line before
  const { time, rest } = stamp(line.trim().replace(/^(- )+/, "").replace(/^(> )+/, ""));
  const [, name, words] = rest.match(/^(?:\*\*)*([^:]*):([^]*)$/) ?? [];
  const source = name?.replace(/(\*\*)+$/, "").trim();
  const content = words?.trim().replace(/^(\*\*)+/, "").trim();
  const called = /^(?=\p{Alphabetic})[\p{Alphabetic}\p{N} \-_.'@]{1,40}$/u.test(source ?? "") && source.split(/\s+/).length <= 3;
  return called && !content.startsWith("//") ? { content, kind: "turn", source, time } : undefined;
}

/** A date and time at the beginning of a line, perhaps in brackets, and the rest. */
function stamp(line) {
  const [all, digits] = line.match(/^[[(]?([\d\-:TZ. +]*)/);
  const time = instant(digits.replace(/[ \-.:+]+$/, ""));
  return time ? { time, rest: line.slice(all.length).replace(/^[\])]+/, "").replace(/^[ \-–,|]+/, "") } : { rest: line };
}

/** A time as RFC 3339, if it is one. */
function instant(text) {
  const [all, date, minute, second, rest] = text.match(/^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?:(:\d\d)(.*))?)?/) ?? [];
  if (!all || !minute) return date;
  return second ? `${date}T${minute}${second}${rest || "Z"}` : `${date}T${minute}:00Z`;
}

function chat(text) {
  const parts = [];
  for (const line of text.split("\n")) {
    const said = turn(line);
    if (said) parts.push(said);
    else if (parts.length) parts.at(-1).content += `\n${line}`;
    else if (line.trim()) parts.push({ content: line, kind: "note" });
  }
  return parts;
}

function jsonl(text) {
  const whole = parse(text);
  if (whole !== undefined) return [Array.isArray(whole) ? whole : Array.isArray(whole?.messages) ? whole.messages : whole].flat().map(jsonTurn);
  return text.split("\n").flatMap((line, i) => {
    if (!line.trim()) return [];
    const turn = parse(line);
    if (turn === undefined) throw new Error(`line ${i + 1} is not JSON`);
    return [jsonTurn(turn)];
  });
}

function jsonTurn(turn) {
  const first = (...keys) => keys.map((key) => turn?.[key]).find((value) => value != null);
  const content = first("content", "text", "message", "body");
  const time = first("time", "timestamp", "created_at", "create_time", "date", "ts");
  return {
    content: Array.isArray(content) ? content.map((piece) => string(piece?.text ?? piece)).join("\n") : string(content?.content ?? content),
    kind: "turn",
    source: string(first("name", "speaker", "author", "from", "user", "role")),
    time: typeof time === "number" ? since1970(time) : instant(string(time)),
  };
}

const string = (value) => (typeof value === "string" ? value : "");

/** RFC 3339 of seconds or milliseconds since 1970. */
const since1970 = (n) => new Date(Math.floor(n > 1e11 ? n / 1000 : n) * 1000).toISOString().replace(".000Z", "Z");
