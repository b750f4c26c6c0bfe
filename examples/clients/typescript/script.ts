// Stands in for a model, so that these programs need none: it follows a
// script. Where a program uses it, put a model of your own.

export type Call = { name: string; arguments: Record<string, unknown> };

type Created = { engrams: { id: string; created_at: string; version: number; duplicate?: boolean }[] };
type Linked = { links: { from: string; to: string; relation: string; weight: number }[] };
type Found = { hits: { id: string; score: number; content: string }[]; cursor?: string };
type Ran = { output: { by: Record<string, number> } };

/** The next tool to call, after these results; in the end, what to say. */
export function nextStep(results: unknown[]): Call | string {
  switch (results.length) {
    case 0:
      return {
        name: "engram_create",
        arguments: {
          engrams: [
            { content: "Ada prefers tea in the morning", source: "Ada" },
            { content: "Ada's meetings start at nine", source: "calendar" },
          ],
        },
      };
    case 1: {
      const [tea, meetings] = (results[0] as Created).engrams;
      return { name: "engram_link", arguments: { links: [{ from: tea?.id, to: meetings?.id, relation: "before" }] } };
    }
    case 2:
      return { name: "engram_search", arguments: { query: "what does Ada drink?", limit: 1 } };
    case 3:
      return { name: "agent_run", arguments: { agent: "tally", action: "by", params: { query: "Ada", by: "source" } } };
  }
  const [created, linked, found, ran] = results as [Created, Linked, Found, Ran];
  const counted = Object.entries(ran.output.by).sort();
  return [
    `remembered: ${created.engrams.length}`,
    `linked: ${linked.links[0]?.relation}`,
    `recalled: ${found.hits[0]?.content}`,
    `counted: {${counted.map(([source, n]) => `"${source}": ${n}`).join(", ")}}`,
  ].join("\n");
}
