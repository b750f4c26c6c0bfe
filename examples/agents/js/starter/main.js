// starter: an agent that remembers notes and keeps secrets out.

/** Remembers a text and links it to the memory that it resembles most. */
export function note({ text }) {
  text = text.trim();
  if (!text) throw new Error("text is empty");
  const [hit] = engram.search(text, { limit: 1 });
  const { id } = engram.create({ content: text, kind: config.kind });
  const resembles = hit && hit.id !== id ? hit.id : undefined;
  if (resembles) engram.link(id, resembles, "resembles", 0.5);
  globals.notes = (globals.notes ?? 0) + 1;
  log("note", globals.notes);
  return { id, number: globals.notes, resembles };
}

/** A hook: it sees what is about to be remembered and may refuse it. */
export function check({ args }) {
  const secret = args.engrams.some(({ content }) => content.includes(config.refuse));
  return secret ? { refuse: `it holds the word ${config.refuse}` } : {};
}
