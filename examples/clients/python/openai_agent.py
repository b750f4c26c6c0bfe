"""openai-agents: python openai_agent.py [URL]

Without a URL it starts a server of its own. With one it sends the token in
ENGRAM_TOKEN.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.items import TResponseStreamEvent
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from script import next_step


class Scripted(Model):
    async def get_response(self, system_instructions: str | None, input: Any, *_: Any, **__: Any) -> ModelResponse:
        outputs = [item["output"] for item in input if item.get("type") == "function_call_output"]
        step = next_step([json.loads(text_of(output)) for output in outputs])
        output: ResponseOutputMessage | ResponseFunctionToolCall
        if isinstance(step, str):
            text = ResponseOutputText(type="output_text", text=step, annotations=[])
            output = ResponseOutputMessage(
                type="message", id="said", role="assistant", status="completed", content=[text]
            )
        else:
            name, arguments = step
            output = ResponseFunctionToolCall(
                type="function_call", call_id=f"call-{len(outputs)}", name=name, arguments=json.dumps(arguments)
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[TResponseStreamEvent]:
        raise NotImplementedError("the script is not streamed")


def text_of(output: Any) -> str:
    """The text of a tool's result, which may come as a list of parts."""
    return output if isinstance(output, str) else "".join(part["text"] for part in output)


async def main(url: str | None = None) -> None:
    set_tracing_disabled(True)  # traces would go to the network
    server: MCPServerStdio | MCPServerStreamableHttp
    if url:
        headers = {"Authorization": f"Bearer {os.environ['ENGRAM_TOKEN']}"}
        server = MCPServerStreamableHttp({"url": url, "headers": headers})
    else:
        server = MCPServerStdio({"command": "engram-mcp", "args": ["serve"], "env": dict(os.environ)})
    async with server:
        agent = Agent("reminder", model=Scripted(), mcp_servers=[server])
        print((await Runner.run(agent, [{"role": "user", "content": "When does Ada drink what?"}])).final_output)


asyncio.run(main(*sys.argv[1:]))
