"""What the toolsets of all frameworks have in common."""

from __future__ import annotations

from functools import partial

import anyio.to_thread

from .client import AsyncMemory, Memory
from .types import Json, Tool

DEFAULT = (
    "engram_create",
    "engram_get",
    "engram_search",
    "engram_link",
    "engram_update",
    "engram_forget",
    "engram_graph",
    "agent_run",
)
"""The tools that a model is given unless others are named: those that the server itself offers by default."""


def chosen(tools: list[Tool], names: tuple[str, ...]) -> list[Tool]:
    """The tools of these names, in the server's order."""
    return [tool for tool in tools if tool.name in names]


async def tools_of(memory: Memory | AsyncMemory) -> list[Tool]:
    """List the tools of either kind of memory without holding up the loop."""
    if isinstance(memory, Memory):
        return await anyio.to_thread.run_sync(memory.tools)
    return await memory.tools()


async def call(memory: Memory | AsyncMemory, tool: str, arguments: dict[str, Json]) -> dict[str, Json]:
    """Call a tool of either kind of memory without holding up the loop."""
    if isinstance(memory, Memory):
        return await anyio.to_thread.run_sync(partial(memory.call, tool, arguments))
    return await memory.call(tool, arguments)
