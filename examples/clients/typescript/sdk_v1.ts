// The official SDK, version 1: node dist/sdk_v1.js [URL]
//
// Without a URL it starts a server of its own. With one it sends the token in
// ENGRAM_TOKEN.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { nextStep } from "./script.js";

const url = process.argv[2];
const transport = url
  ? new StreamableHTTPClientTransport(new URL(url), {
      requestInit: { headers: { Authorization: `Bearer ${process.env.ENGRAM_TOKEN}` } },
    })
  : new StdioClientTransport({
      command: "engram-mcp",
      args: ["serve"],
      env: process.env as Record<string, string>,
    });

const client = new Client({ name: "example", version: "1" });
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
