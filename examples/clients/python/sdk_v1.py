"""The official SDK, version 1: python sdk_v1.py [URL]

Without a URL it starts a server of its own. With one it sends the token in
ENGRAM_TOKEN.
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

import httpx
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from script import Answer, next_step


async def main(url: str | None = None) -> None:
    async with AsyncExitStack() as stack:
        if url:
            headers = {"Authorization": f"Bearer {os.environ['ENGRAM_TOKEN']}"}
            client = await stack.enter_async_context(httpx.AsyncClient(headers=headers))
            read, write, _ = await stack.enter_async_context(streamable_http_client(url, http_client=client))
        else:
            server = StdioServerParameters(command="engram-mcp", args=["serve"], env=dict(os.environ))
            read, write = await stack.enter_async_context(stdio_client(server))
        session = await stack.enter_async_context(ClientSession(read, write))
        await session.initialize()

        results: list[Answer] = []
        while not isinstance(step := next_step(results), str):
            result = await session.call_tool(*step)
            if result.isError or result.structuredContent is None:
                raise RuntimeError(result.content)
            results.append(result.structuredContent)
        print(step)


asyncio.run(main(*sys.argv[1:]))
