"""The memory, for programs that wait and for those that do not."""

from __future__ import annotations

import functools
import math
import os
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from datetime import date, datetime
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

import anyio
import anyio.abc
import anyio.from_thread
from pydantic import BaseModel, ValidationError

from ._sdk import Local, Remote, Session, connect
from .errors import ClosedError, EngramError, FailedError, InvalidError, NotFoundError, TimedOutError, from_server
from .types import (
    Agent,
    AgentStats,
    Created,
    Engram,
    Filter,
    Forgotten,
    Found,
    Graph,
    History,
    Json,
    Link,
    NewEngram,
    NewLink,
    Recalled,
    Ref,
    Run,
    Stats,
    Time,
    Tool,
    id_of,
)

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)

_CONNECT_SECONDS = 30


def _local(
    command: str | None,
    data: str | os.PathLike[str] | None,
    space: str | None,
    agent: str | None,
    read_only: bool,
) -> Local:
    path = shutil.which(command or "engram-mcp")
    if path is None:
        raise NotFoundError(
            f"there is no program {command or 'engram-mcp'}",
            "build it with `go build -o engram-mcp ./cmd/engram-mcp` and put it on the path, or give command",
        )
    args = ["serve", "--tools", "all"]
    for flag, value in (("--data", data), ("--space", space), ("--agent", agent)):
        if value is not None:
            args += [flag, os.fspath(value)]
    if read_only:
        args.append("--read-only")
    return Local(path, tuple(args), dict(os.environ))


class AsyncMemory:
    """A memory, for asynchronous programs.

    It is open within `async with`. Any number of calls may be under way at
    once. A call that is cancelled, or takes longer than `timeout` seconds, is
    stopped at the server as well.
    """

    def __init__(self, server: Local | Remote, *, timeout: float | None = 60) -> None:
        """Use `local` or `http`."""
        self._server = server
        self._timeout = timeout
        self._session: Session | None = None
        self._failure: EngramError = ClosedError("the memory is not open", "use it within `async with`")
        self._waiting: set[anyio.CancelScope] = set()

    @classmethod
    def local(
        cls,
        *,
        command: str | None = None,
        data: str | os.PathLike[str] | None = None,
        space: str | None = None,
        agent: str | None = None,
        read_only: bool = False,
        timeout: float | None = 60,
    ) -> Self:
        """Start a server of one's own, on the memory of this machine.

        `command` is the program, by default the engram-mcp on the path. `data`,
        `space` and `agent` are its flags: the data directory, the space, and the
        name that this client writes under. Any number of servers may share a
        memory.
        """
        return cls(_local(command, data, space, agent, read_only), timeout=timeout)

    @classmethod
    def http(cls, url: str, *, token: str | None = None, timeout: float | None = 60) -> Self:
        """Attach to a server, such as http://127.0.0.1:7077/mcp, with a bearer token."""
        return cls(Remote(url, token), timeout=timeout)

    async def __aenter__(self) -> Self:
        self._stop, self._ended = anyio.Event(), anyio.Event()
        self._task = anyio.create_task_group()
        await self._task.__aenter__()
        try:
            self._session = await self._task.start(self._serve)
        except BaseException:
            await self._task.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        await self._task.__aexit__(None, None, None)

    async def _serve(self, *, task_status: anyio.abc.TaskStatus[Session]) -> None:
        """Hold the connection in a task of its own, so that its failure is that of
        the calls under way and never cancels the program around them."""
        started = False
        # The end comes by _stop alone, so that the server is left in order.
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + _CONNECT_SECONDS) as scope:
            try:
                async with connect(self._server) as session:
                    scope.deadline = math.inf
                    started = True
                    task_status.started(session)
                    await self._stop.wait()
            except EngramError as e:
                if not started:
                    raise
                self._failure = e
            else:
                self._failure = ClosedError("the memory has been closed", "use it within `async with`")
            finally:
                self._session = None
                for call in self._waiting:
                    call.cancel()
                self._ended.set()
        if scope.cancelled_caught:
            raise TimedOutError(f"the server has not answered for {_CONNECT_SECONDS} s")

    async def call(
        self, tool: str, arguments: Mapping[str, Json] | None = None, *, timeout: float | None = None
    ) -> dict[str, Json]:
        """Call any tool by its name, an action of an agent included, and return its answer as it is."""
        result = await self._within(
            self._timeout if timeout is None else timeout, tool, lambda session: session.call(tool, dict(arguments or {}))
        )
        if result.get("isError"):
            text = "\n".join(part["text"] for part in result["content"] if part["type"] == "text")
            raise from_server(text, result.get("_meta", {}).get("error", ""))
        answer: dict[str, Json] = result["structuredContent"]
        return answer

    async def _ask(self, answer: type[A], tool: str, /, *, timeout: float | None = None, **arguments: Any) -> A:
        wanted = {name: _plain(value) for name, value in arguments.items() if value is not None}
        try:
            return answer.model_validate(await self.call(tool, wanted, timeout=timeout))
        except ValidationError as e:
            raise FailedError(f"{tool} answered what this client does not know: {e}", "update the older of the two") from e

    async def remember(
        self,
        content: str,
        *,
        source: str | None = None,
        confidence: float | None = None,
        importance: float | None = None,
        kind: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Json] | None = None,
        context: str | None = None,
        collections: Sequence[str] | None = None,
        valid_from: Time | None = None,
        valid_to: Time | None = None,
        ttl_seconds: float | None = None,
        allow_duplicate: bool | None = None,
        links: Sequence[NewLink] | None = None,
        request_id: str | None = None,
    ) -> Created:
        """Remember one self-contained statement.

        An equal one is not stored twice. With a `request_id` of your own, a UUID,
        the same call may be repeated without harm.
        """
        created = await self._ask(
            _CreatedList,
            "engram_create",
            content=content,
            source=source,
            confidence=confidence,
            importance=importance,
            kind=kind,
            tags=tags,
            metadata=metadata,
            context=context,
            collections=collections,
            valid_from=valid_from,
            valid_to=valid_to,
            ttl_seconds=ttl_seconds,
            allow_duplicate=allow_duplicate,
            links=links,
            request_id=request_id,
        )
        return created.engrams[0]

    async def remember_many(self, engrams: Iterable[NewEngram], *, request_id: str | None = None) -> list[Created]:
        """Remember up to 1000 statements, all or none."""
        created = await self._ask(_CreatedList, "engram_create", engrams=list(engrams), request_id=request_id)
        return created.engrams

    async def recall(
        self,
        query: str | None = None,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        max_tokens: int | None = None,
        context: str | None = None,
        collections: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        kind: str | None = None,
        source: str | None = None,
        after: Time | None = None,
        before: Time | None = None,
        valid_at: Time | None = None,
        min_confidence: float | None = None,
        mode: Literal["hybrid", "text", "vector"] | None = None,
        explain: bool | None = None,
    ) -> Recalled:
        """Find engrams by words and by meaning, best first; without a query, the newest."""
        return await self._ask(
            Recalled,
            "engram_search",
            query=query,
            limit=limit,
            cursor=cursor,
            max_tokens=max_tokens,
            context=context,
            collections=collections,
            tags=tags,
            kind=kind,
            source=source,
            after=after,
            before=before,
            valid_at=valid_at,
            min_confidence=min_confidence,
            mode=mode,
            explain=explain,
        )

    async def get(self, engram: Ref, *, include_links: bool | None = None) -> Engram:
        """Read an engram in full. This counts as an access to it."""
        found = await self.get_many([engram], include_links=include_links)
        if not found.engrams:
            raise NotFoundError(
                f"there is no engram {id_of(engram)}", "`recall` finds what there is; `history` tells what became of it"
            )
        return found.engrams[0]

    async def get_many(self, engrams: Iterable[Ref], *, include_links: bool | None = None) -> Found:
        """Read up to 200 engrams in full."""
        return await self._ask(Found, "engram_get", ids=[id_of(e) for e in engrams], include_links=include_links)

    async def update(
        self,
        engram: Ref,
        *,
        content: str | None = None,
        kind: str | None = None,
        source: str | None = None,
        confidence: float | None = None,
        importance: float | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Json] | None = None,
        context: str | None = None,
        collections: Sequence[str] | None = None,
        valid_from: Time | None = None,
        valid_to: Time | None = None,
        ttl_seconds: float | None = None,
        if_version: int | None = None,
        request_id: str | None = None,
    ) -> Engram:
        """Change fields of an engram; what is not given stays, and `history` keeps what was.

        "" removes a time, 0 the expiry. With `if_version` it fails with a
        ConflictError if the engram has another version.
        """
        updated = await self._ask(
            _EngramOne,
            "engram_update",
            id=id_of(engram),
            content=content,
            kind=kind,
            source=source,
            confidence=confidence,
            importance=importance,
            tags=tags,
            metadata=metadata,
            context=context,
            collections=collections,
            valid_from=valid_from,
            valid_to=valid_to,
            ttl_seconds=ttl_seconds,
            if_version=if_version,
            request_id=request_id,
        )
        return updated.engram

    async def forget(
        self,
        *engrams: Ref,
        filter: Filter | None = None,
        purge: bool | None = None,
        dry_run: bool | None = None,
        confirm: str | None = None,
        request_id: str | None = None,
    ) -> Forgotten:
        """Hide engrams, or those that a filter selects; `restore` brings them back.

        `purge` erases them for good. With a filter, make a dry run of that first
        and give the `confirm` that it answers.
        """
        return await self._ask(
            Forgotten,
            "engram_forget",
            ids=[id_of(e) for e in engrams] or None,
            filter=filter,
            purge=purge,
            dry_run=dry_run,
            confirm=confirm,
            request_id=request_id,
        )

    async def restore(self, engram: Ref, *, version: int | None = None, request_id: str | None = None) -> Engram:
        """Bring back what was forgotten, or take an engram back to an earlier version."""
        restored = await self._ask(
            _EngramOne, "engram_restore", id=id_of(engram), version=version, request_id=request_id
        )
        return restored.engram

    async def history(self, engram: Ref, *, cursor: str | None = None, limit: int | None = None) -> History:
        """Tell when, by whom and how an engram was changed."""
        return await self._ask(History, "engram_history", id=id_of(engram), cursor=cursor, limit=limit)

    async def link(
        self,
        from_engram: Ref,
        to_engram: Ref,
        relation: str,
        *,
        weight: float | None = None,
        metadata: Mapping[str, Json] | None = None,
        valid_from: Time | None = None,
        valid_to: Time | None = None,
        request_id: str | None = None,
    ) -> Link:
        """Connect two engrams, or change the link of that relation between them."""
        ends = {"from": id_of(from_engram), "to": id_of(to_engram), "relation": relation}
        more = {"weight": weight, "metadata": metadata, "valid_from": valid_from, "valid_to": valid_to}
        one = ends | {name: value for name, value in more.items() if value is not None}
        return (await self._ask(_LinkList, "engram_link", links=[one], request_id=request_id)).links[0]

    async def unlink(
        self, from_engram: Ref, to_engram: Ref, relation: str | None = None, *, request_id: str | None = None
    ) -> list[Link]:
        """Remove the link of that relation, or all from one engram to the other."""
        one = {"from": id_of(from_engram), "to": id_of(to_engram)} | ({"relation": relation} if relation else {})
        return (await self._ask(_LinkList, "engram_unlink", links=[one], request_id=request_id)).links

    async def graph(
        self,
        *start: Ref,
        mode: Literal["neighbors", "path", "subgraph"] | None = None,
        to: Ref | None = None,
        depth: int | None = None,
        relations: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Graph:
        """Follow links: the neighbours of `start`, a shortest path `to` another, or all within `depth`."""
        return await self._ask(
            Graph,
            "engram_graph",
            start=[id_of(e) for e in start],
            mode=mode,
            to=None if to is None else id_of(to),
            depth=depth,
            relations=relations,
            limit=limit,
        )

    async def run(
        self, agent: str, action: str, params: Mapping[str, Json] | None = None, *, timeout: float | None = None
    ) -> Run:
        """Run an action of an installed agent beside the memory, with your rights at most.

        What it writes takes effect only if it succeeds.
        """
        return await self._ask(Run, "agent_run", agent=agent, action=action, params=params, timeout=timeout)

    async def agents(self) -> list[Agent]:
        """List the installed agents."""
        return (await self._ask(_AgentList, "agent_list")).agents

    async def agent_stats(self, agent: str | None = None) -> list[AgentStats]:
        """Tell what agents, or one of them, have used since they were installed."""
        return (await self._ask(_AgentStatsList, "agent_stats", agent=agent)).agents

    async def stats(self) -> Stats:
        """Count what there is in the space."""
        return await self._ask(Stats, "memory_stats")

    async def tools(self) -> list[Tool]:
        """List the tools that the server offers, the actions of agents included."""
        listed = await self._within(self._timeout, "tools/list", lambda session: session.tools())
        return [Tool.model_validate(tool) for tool in listed]

    async def _within(self, seconds: float | None, what: str, ask: Callable[[Session], Awaitable[T]]) -> T:
        """Ask the server, for as long as there is one and time."""
        if self._session is None:
            raise self._failure
        with anyio.move_on_after(seconds) as scope:
            self._waiting.add(scope)
            try:
                return await ask(self._session)
            finally:
                self._waiting.discard(scope)
        if self._session is None:
            raise self._failure
        raise TimedOutError(
            f"{what} has not been answered within {seconds} s and was cancelled", "give it more time with timeout"
        )


class _CreatedList(BaseModel):
    engrams: list[Created]


class _EngramOne(BaseModel):
    engram: Engram


class _LinkList(BaseModel):
    links: list[Link]


class _AgentList(BaseModel):
    agents: list[Agent]


class _AgentStatsList(BaseModel):
    agents: list[AgentStats]


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    match value:
        case datetime(tzinfo=None):
            raise InvalidError(f"{value} has no time zone", "give one, as in datetime.now(timezone.utc)")
        case date():
            return value.isoformat()
        case Mapping():
            return {name: _plain(v) for name, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
    return value


def _waits(
    method: Callable[Concatenate[AsyncMemory, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Memory, P], T]:
    """The same method for programs that wait for its answer."""

    @functools.wraps(method)
    def waiting(self: Memory, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._wait(functools.partial(method, self._memory, *args, **kwargs))

    return waiting  # type: ignore[return-value]  # wraps() names self, which P does not


class Memory:
    """A memory, for programs that wait for answers.

    It is open within `with`, and any number of threads may use it at once. A
    call that is interrupted, or takes longer than `timeout` seconds, is stopped
    at the server as well.
    """

    def __init__(self, memory: AsyncMemory) -> None:
        """Use `local` or `http`."""
        self._memory = memory
        self._portal: anyio.from_thread.BlockingPortal | None = None

    @classmethod
    def local(
        cls,
        *,
        command: str | None = None,
        data: str | os.PathLike[str] | None = None,
        space: str | None = None,
        agent: str | None = None,
        read_only: bool = False,
        timeout: float | None = 60,
    ) -> Self:
        """Start a server of one's own, on the memory of this machine; see `AsyncMemory.local`."""
        return cls(AsyncMemory(_local(command, data, space, agent, read_only), timeout=timeout))

    @classmethod
    def http(cls, url: str, *, token: str | None = None, timeout: float | None = 60) -> Self:
        """Attach to a server, such as http://127.0.0.1:7077/mcp, with a bearer token."""
        return cls(AsyncMemory.http(url, token=token, timeout=timeout))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(anyio.from_thread.start_blocking_portal())
            opened: AbstractContextManager[AsyncMemory] = portal.wrap_async_context_manager(self._memory)
            stack.enter_context(opened)
            self._portal, self._stack = portal, stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._portal = None
        self._stack.close()

    def _wait(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._portal is None:
            raise ClosedError("the memory is not open", "use it within `with`")
        answer: Future[T] = self._portal.start_task_soon(call)
        try:
            return answer.result()
        except BaseException:
            answer.cancel()  # if what came was an interrupt, the call is still under way
            raise

    call = _waits(AsyncMemory.call)
    remember = _waits(AsyncMemory.remember)
    remember_many = _waits(AsyncMemory.remember_many)
    recall = _waits(AsyncMemory.recall)
    get = _waits(AsyncMemory.get)
    get_many = _waits(AsyncMemory.get_many)
    update = _waits(AsyncMemory.update)
    forget = _waits(AsyncMemory.forget)
    restore = _waits(AsyncMemory.restore)
    history = _waits(AsyncMemory.history)
    link = _waits(AsyncMemory.link)
    unlink = _waits(AsyncMemory.unlink)
    graph = _waits(AsyncMemory.graph)
    run = _waits(AsyncMemory.run)
    agents = _waits(AsyncMemory.agents)
    agent_stats = _waits(AsyncMemory.agent_stats)
    stats = _waits(AsyncMemory.stats)
    tools = _waits(AsyncMemory.tools)
