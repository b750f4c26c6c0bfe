// Things to do, each an engram of the kind todo with the tag open or done.

export function add({ text, due }) {
  return { id: engram.create({ content: text, kind: "todo", tags: ["open"], source: "todo", metadata: due ? { due } : undefined }).id };
}

export function done({ id }) {
  const todo = engram.get(id);
  if (todo?.kind !== "todo") throw new Error(`${id} is no thing to do`);
  engram.update(id, { tags: ["done"] });
  globals.done = (globals.done ?? 0) + 1;
  return { text: todo.content, done: globals.done };
}

/** The open ones, those that are due first in front. */
export function list() {
  const open = engram.search({ kind: "todo", tags: ["open"], limit: 200 });
  const due = (todo) => todo.metadata?.due ?? "9999";
  open.sort((a, b) => (due(a) < due(b) ? -1 : due(a) > due(b) ? 1 : 0));
  return { open: open.map(({ id, content, metadata }) => ({ id, text: content, due: metadata?.due })) };
}
