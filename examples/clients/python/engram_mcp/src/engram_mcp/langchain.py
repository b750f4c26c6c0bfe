"""The memory's tools for LangChain and LangGraph: `create_agent(model, tools=tools(memory))`."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.tools import StructuredTool, ToolException

from . import _offer
from .client import AsyncMemory, Memory
from .errors import ClosedError, EngramError
from .types import Json, Tool


def tools(memory: Memory, names: tuple[str, ...] = _offer.DEFAULT) -> list[StructuredTool]:
    """The tools of an open memory, by default those that the server offers by default.

    They can be invoked with and without waiting.
    """
    return [_tool(memory, tool) for tool in _offer.chosen(memory.tools(), names)]


async def async_tools(memory: AsyncMemory, names: tuple[str, ...] = _offer.DEFAULT) -> list[StructuredTool]:
    """The same for an asynchronous memory; these can only be awaited."""
    return [_tool(memory, tool) for tool in _offer.chosen(await memory.tools(), names)]


def _tool(memory: Memory | AsyncMemory, tool: Tool) -> StructuredTool:
    async def coroutine(**arguments: Json) -> str:
        try:
            return _text(await _offer.call(memory, tool.name, arguments))
        except EngramError as e:
            raise _for_model(e) from e

    def func(**arguments: Json) -> str:
        assert isinstance(memory, Memory)
        try:
            return _text(memory.call(tool.name, arguments))
        except EngramError as e:
            raise _for_model(e) from e

    return StructuredTool(
        name=tool.name,
        description=tool.description,
        args_schema=tool.input_schema,
        func=func if isinstance(memory, Memory) else None,
        coroutine=coroutine,
        handle_tool_error=True,
        metadata=tool.annotations,
    )


def _for_model(e: EngramError) -> Exception:
    """A failure that the model reads, with the hint, and can mend; without a server it cannot."""
    return e if isinstance(e, ClosedError) else ToolException(str(e))


def _text(answer: dict[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False)
