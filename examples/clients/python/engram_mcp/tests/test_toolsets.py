"""The memory's tools in the hands of frameworks, with models that follow a script."""

from __future__ import annotations

import asyncio
from typing import Any

from conftest import Server
from langchain_core.messages import ToolCall
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

from engram_mcp import Memory
from engram_mcp import langchain as for_langchain
from engram_mcp import pydantic_ai as for_pydantic_ai
from engram_mcp._offer import DEFAULT


def script(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """A model that remembers, guesses wrong, reads why, recalls and tells."""
    assert {tool.name for tool in info.function_tools} == set(DEFAULT)
    last = messages[-1].parts[-1]
    if not isinstance(last, ToolReturnPart):
        return ModelResponse(parts=[ToolCallPart("engram_create", {"content": "Ada prefers tea"})])
    if last.tool_name == "engram_create":
        return ModelResponse(parts=[ToolCallPart("engram_search", {"query": "tea", "limit": 10_000})])
    if last.outcome == "retried":
        assert "hint: it goes from 1 to 200" in str(last.content)
        return ModelResponse(parts=[ToolCallPart("engram_search", {"query": "what does Ada drink?"})])
    answer: Any = last.content
    return ModelResponse(parts=[TextPart(answer["hits"][0]["content"])])


def test_pydantic_ai_reads_errors_and_goes_on(memory: Memory) -> None:
    agent = Agent(FunctionModel(script), toolsets=[for_pydantic_ai.toolset(memory)])
    assert agent.run_sync("What does Ada drink?").output == "Ada prefers tea"


def test_pydantic_ai_on_an_asynchronous_memory(server: Server) -> None:
    async def run() -> str:
        async with server.async_memory() as memory:
            agent = Agent(FunctionModel(script), toolsets=[for_pydantic_ai.toolset(memory)])
            return (await agent.run("What does Ada drink?")).output

    assert asyncio.run(run()) == "Ada prefers tea"


def test_every_schema_is_one_that_a_test_model_can_fill(memory: Memory) -> None:
    tools = for_pydantic_ai.toolset(memory, names=("engram_search", "memory_stats"))
    assert "engram_search" in Agent(TestModel(), toolsets=[tools]).run_sync("hello").output


def test_langchain_invokes_the_tools(memory: Memory) -> None:
    tools = {tool.name: tool for tool in for_langchain.tools(memory)}
    assert set(tools) == set(DEFAULT)
    assert tools["engram_search"].metadata and tools["engram_search"].metadata["readOnlyHint"]
    assert "created_at" in tools["engram_create"].invoke({"content": "Ada prefers tea"})
    assert "Ada prefers tea" in asyncio.run(tools["engram_search"].ainvoke({"query": "Ada"}))
    wrong = tools["engram_search"].invoke(ToolCall(name="engram_search", args={"limit": 10_000}, id="1", type="tool_call"))
    assert wrong.status == "error" and "hint: " in wrong.content


def test_langchain_on_an_asynchronous_memory(server: Server) -> None:
    async def run() -> str:
        async with server.async_memory() as memory:
            (create,) = await for_langchain.async_tools(memory, names=("engram_create",))
            return str(await create.ainvoke({"content": "Ada prefers tea"}))

    assert "created_at" in asyncio.run(run())
