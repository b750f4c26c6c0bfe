"""The one module that knows the official SDK, whose versions 1 and 2 differ.

Answers are handed on as they were on the wire, where both are the same.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from .errors import BusyError, ClosedError, DeniedError, EngramError, FailedError, NotFoundError

_major = int(importlib.metadata.version("mcp").partition(".")[0])
_NAME = "engram-mcp-python"
_VERSION = "0.1.0"

_UNKNOWN_TOOL = -32602
_CONNECTION_CLOSED = -32000


@dataclass(frozen=True)
class Local:
    """A server of one's own: a program to start."""

    command: str
    args: tuple[str, ...]
    env: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Remote:
    """A server that listens over HTTP."""

    url: str
    token: str | None = field(repr=False)


class Session:
    """A conversation with a server. What goes wrong in it is an EngramError."""

    def __init__(self, sdk: Any, refusals: list[int]) -> None:
        self._sdk = sdk  # a ClientSession of version 1, or a Client of version 2
        self._refusals = refusals

    async def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool and return its result. If this is cancelled, the server is told to stop."""
        return await self._ask(self._sdk.call_tool(tool, arguments))

    async def tools(self) -> list[dict[str, Any]]:
        """List the tools that there are for this caller."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = await self._ask(self._sdk.list_tools(cursor=cursor))
            found += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                return found

    async def _ask(self, question: Awaitable[Any]) -> dict[str, Any]:
        before = len(self._refusals)
        try:
            return _wire(await question)
        except Exception as e:
            raise _translate(e, self._refusals[before:]) from e


def _wire(model: Any) -> dict[str, Any]:
    wire: dict[str, Any] = model.model_dump(by_alias=True, mode="json", exclude_none=True)
    return wire


@asynccontextmanager
async def connect(server: Local | Remote) -> AsyncIterator[Session]:
    """Open a conversation. What ends it, now or later, is an EngramError."""
    refusals: list[int] = []  # the statuses of HTTP that tell of errors; version 2 drops them
    try:
        async with _transport(server, refusals) as transport, _client(transport) as sdk:
            yield Session(sdk, refusals)
    except Exception as e:
        raise _translate(e, refusals) from e


@asynccontextmanager
async def _transport(server: Local | Remote, refusals: list[int]) -> AsyncIterator[Any]:
    if isinstance(server, Local):
        stdio = importlib.import_module("mcp.client.stdio")
        yield stdio.stdio_client(
            stdio.StdioServerParameters(command=server.command, args=list(server.args), env=server.env),
            errlog=sys.__stderr__ or subprocess.DEVNULL,  # sys.stderr is no file in a notebook
        )
        return

    async def note(response: Any) -> None:
        if response.status_code >= 400:
            refusals.append(response.status_code)

    http = importlib.import_module("httpx" if _major < 2 else "httpx2")
    # The answer to a call may be long in coming; who waits for it has a timeout of his own.
    client = http.AsyncClient(
        headers={"Authorization": f"Bearer {server.token}"} if server.token else {},
        timeout=http.Timeout(30, read=None),
        event_hooks={"response": [note]},
    )
    async with client:
        streamable = importlib.import_module("mcp.client.streamable_http")
        yield streamable.streamable_http_client(server.url, http_client=client)


@asynccontextmanager
async def _client(transport: Any) -> AsyncIterator[Any]:
    mcp: Any = importlib.import_module("mcp")
    info = importlib.import_module("mcp.types").Implementation(name=_NAME, version=_VERSION)
    if _major < 2:
        async with transport as streams, _cancelling(mcp)(streams[0], streams[1], client_info=info) as session:
            await session.initialize()
            yield session
    else:
        # Tools come and go with the agents, so lists are not kept.
        async with mcp.Client(transport, client_info=info, cache=None) as client:
            yield client


def _cancelling(mcp: Any) -> Any:
    """The session of version 1, made to tell the server when a call is given up, as version 2 does."""
    types = importlib.import_module("mcp.types")

    class Cancelling(mcp.ClientSession):  # type: ignore[misc]
        async def send_request(self, *args: Any, **kwargs: Any) -> Any:
            request_id = self._request_id  # the one that this request is about to get
            try:
                return await super().send_request(*args, **kwargs)
            except anyio.get_cancelled_exc_class():
                with anyio.move_on_after(1, shield=True):
                    await self.send_notification(
                        types.ClientNotification(
                            types.CancelledNotification(
                                params=types.CancelledNotificationParams(requestId=request_id, reason="given up")
                            )
                        )
                    )
                raise

    return Cancelling


def _translate(e: Exception, refusals: list[int]) -> EngramError:
    """Make an error of ours of one that came out of the SDK."""
    causes = list(_causes(e))
    for cause in causes:
        if isinstance(cause, EngramError):
            return cause
    errors = [(cause, error) for cause in causes if (error := getattr(cause, "error", None))]  # McpError has it
    for cause, error in errors:
        if error.code == _UNKNOWN_TOOL:
            return NotFoundError(str(cause), "the server may offer fewer tools: start it with --tools all")
    if refusals:
        return _refused(refusals[-1])
    for cause, error in errors:
        if error.code != _CONNECTION_CLOSED:
            return FailedError(str(cause))
    return ClosedError(
        f"there is no server at the other end: {causes[-1] or type(causes[-1]).__name__}",
        "check that it runs; its own words are on stderr, or in its log",
    )


def _refused(status: int) -> EngramError:
    match status:
        case 401:
            return DeniedError(
                "the server does not know this token",
                "give the one that `engram-mcp token create NAME` printed, or that in the file token of its data directory",
            )
        case 403:
            return DeniedError("the server does not admit this caller", "use a token with the rights that this takes")
        case 429 | 503:
            return BusyError("the server has too much to do", "try again later")
    return FailedError(
        f"the server answers with HTTP status {status}",
        "check that the address is that of the server's /mcp, such as http://127.0.0.1:7077/mcp",
    )


def _causes(e: BaseException) -> Iterator[BaseException]:
    if isinstance(e, BaseExceptionGroup):
        for part in e.exceptions:
            yield from _causes(part)
    else:
        yield e
