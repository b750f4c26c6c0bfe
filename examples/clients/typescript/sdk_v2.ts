// The official SDK, version 2, which speaks both eras of the protocol:
// node dist/sdk_v2.js [URL]
//
// Without a URL it starts a server of its own. With one it sends the token in
// ENGRAM_TOKEN.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { nextStep } from "./script.js";

const url = process.argv[2];
const transport = url
  ? new StreamableHTTPClientTransport(new URL(url), { authProvider: { token: async () => process.env.ENGRAM_TOKEN } })
  : new StdioClientTransport({
      command: "engram-mcp",
      args: ["serve"],
      env: process.env as Record<string, string>,
    });

const client = new Client({ name: "example", version: "1" }, { versionNegotiation: { mode: "auto" } });
await client.connect(transport);
try {
  const results: unknown[] = [];
  let step = nextStep(results);
  while (typeof step !== "string") {
    const result = await client.callTool(step);
    if (result.isError) throw new Error(JSON.stringify(result.content));
    results.push(result.structuredContent);
    step = nextStep(results);
  }
  console.log(step);
} finally {
  await client.close();
}
