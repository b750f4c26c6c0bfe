"""The official SDK, version 2: python sdk_v2.py [URL]

Without a URL it starts a server of its own. With one it sends the token in
ENGRAM_TOKEN.
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from script import Answer, next_step


async def converse(client: Client) -> None:
    async with client:
        results: list[Answer] = []
        while not isinstance(step := next_step(results), str):
            result = await client.call_tool(*step)
            if result.is_error or result.structured_content is None:
                raise RuntimeError(result.content)
            results.append(result.structured_content)
        print(step)


async def main(url: str | None = None) -> None:
    if url:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {os.environ['ENGRAM_TOKEN']}"}) as http:
            await converse(Client(streamable_http_client(url, http_client=http)))
    else:
        await converse(Client(StdioServerParameters(command="engram-mcp", args=["serve"], env=dict(os.environ))))


asyncio.run(main(*sys.argv[1:]))
