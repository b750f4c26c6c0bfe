"""LangChain, by langchain-mcp-adapters: python langchain_tools.py [URL]

Without a URL it starts a server of its own. With one it sends the token in
ENGRAM_TOKEN. The tools are those that an agent of LangGraph would be given.
"""

import asyncio
import os
import sys

from langchain_core.messages import ToolCall
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.sessions import Connection
from langchain_mcp_adapters.tools import load_mcp_tools
from script import Answer, next_step


async def main(url: str | None = None) -> None:
    connection: Connection
    if url:
        headers = {"Authorization": f"Bearer {os.environ['ENGRAM_TOKEN']}"}
        connection = {"transport": "streamable_http", "url": url, "headers": headers}
    else:
        connection = {"transport": "stdio", "command": "engram-mcp", "args": ["serve"], "env": dict(os.environ)}
    client = MultiServerMCPClient({"engram": connection})
    async with client.session("engram") as session:  # without it, each call would be a session of its own
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}
        results: list[Answer] = []
        while not isinstance(step := next_step(results), str):
            name, arguments = step
            message = await tools[name].ainvoke(ToolCall(name=name, args=arguments, id=name, type="tool_call"))
            if message.status == "error":
                raise RuntimeError(message.content)
            results.append(message.artifact["structured_content"])
        print(step)


asyncio.run(main(*sys.argv[1:]))
