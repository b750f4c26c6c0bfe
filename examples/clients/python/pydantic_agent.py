"""pydantic-ai: python pydantic_agent.py [URL]

Without a URL it starts a server of its own. With one it sends the token in
ENGRAM_TOKEN.
"""

import os
import sys
from typing import cast

from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from script import Answer, next_step


def scripted(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    parts = [part for message in messages for part in message.parts if isinstance(part, ToolReturnPart)]
    step = next_step([cast(Answer, part.content) for part in parts])
    return ModelResponse(parts=[TextPart(step) if isinstance(step, str) else ToolCallPart(*step)])


def main(url: str | None = None) -> None:
    transport: StdioTransport | StreamableHttpTransport
    if url:
        transport = StreamableHttpTransport(url, auth=os.environ["ENGRAM_TOKEN"])
    else:
        transport = StdioTransport("engram-mcp", ["serve"], env=dict(os.environ), keep_alive=False)
    agent = Agent(FunctionModel(scripted), toolsets=[MCPToolset(transport)])
    print(agent.run_sync("When does Ada drink what?").output)


main(*sys.argv[1:])
