"""The memory's tools for pydantic-ai: `Agent(model, toolsets=[toolset(memory)])`."""

from __future__ import annotations

from typing import Any

from pydantic_ai import ModelRetry, RunContext, ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from . import _offer
from .client import AsyncMemory, Memory
from .errors import ClosedError, EngramError

# The server checks arguments, and says better than a schema what is wrong with them.
_any_object = SchemaValidator(core_schema.dict_schema(core_schema.str_schema()))


class MemoryToolset(AbstractToolset[Any]):
    """The tools of an open memory, as the server describes them to models."""

    def __init__(self, memory: Memory | AsyncMemory, names: tuple[str, ...]) -> None:
        self._memory, self._names = memory, names

    @property
    def id(self) -> str:
        return "engram-mcp"

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        """List them, as they are at this moment."""
        offered = _offer.chosen(await _offer.tools_of(self._memory), self._names)
        return {
            tool.name: ToolsetTool(
                toolset=self,
                tool_def=ToolDefinition(
                    name=tool.name, description=tool.description, parameters_json_schema=tool.input_schema
                ),
                max_retries=ctx.max_retries,
                args_validator=_any_object,
            )
            for tool in offered
        }

    async def call_tool(
        self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]
    ) -> dict[str, Any]:
        """Call one; the model reads what went wrong, with the hint, and may try again."""
        try:
            return await _offer.call(self._memory, name, tool_args)
        except ClosedError:
            raise
        except EngramError as e:
            raise ModelRetry(str(e)) from e


def toolset(memory: Memory | AsyncMemory, names: tuple[str, ...] = _offer.DEFAULT) -> MemoryToolset:
    """The tools of a memory, by default those that the server offers by default.

    The memory must be open while the agent runs.
    """
    return MemoryToolset(memory, names)
