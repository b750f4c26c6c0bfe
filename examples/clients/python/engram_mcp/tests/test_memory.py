"""What a program can do with a memory, over both transports."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timezone
from uuid import uuid4

import anyio
import pytest
from conftest import AGENTS, Server

from engram_mcp import AsyncMemory, ConflictError, Memory, NotFoundError


def test_what_was_remembered_is_recalled_with_who_said_it(memory: Memory) -> None:
    tea = memory.remember("Ada prefers tea in the morning", source="Ada", confidence=0.9, tags=["drinks"])
    memory.remember("the harbour crane was repainted yellow")
    hits = memory.recall("what does Ada drink?")
    assert hits[0].id == tea.id and len(hits) == len(list(hits)) == len(hits[:])
    assert (hits[0].source, hits[0].author, hits[0].confidence) == ("Ada", "tester", 0.9)
    assert hits[0].tags == ["drinks"]
    explained = memory.recall("what does Ada drink?", explain=True, limit=1)
    assert sum(explained[0].parts.values()) == pytest.approx(explained[0].score)


def test_equal_memories_are_one(memory: Memory) -> None:
    first = memory.remember("water boils at 100 degrees")
    again = memory.remember("water boils at 100 degrees")
    assert again.duplicate and again.id == first.id
    assert memory.stats().engrams == 1


def test_a_repeated_request_is_answered_as_at_first(memory: Memory) -> None:
    request = str(uuid4())
    first = memory.remember("only once", allow_duplicate=True, request_id=request)
    assert memory.remember("only once", allow_duplicate=True, request_id=request) == first


def test_many_are_remembered_all_or_none_and_read_together(memory: Memory) -> None:
    one, two = memory.remember_many([{"content": "one", "context": "counting"}, {"content": "two", "context": "counting"}])
    found = memory.get_many([one, two.id, "01a00000-0000-7000-8000-000000000000"])
    assert [e.content for e in found.engrams] == ["one", "two"]
    assert found.missing == ["01a00000-0000-7000-8000-000000000000"]
    assert (found.engrams[0].next, found.engrams[1].previous) == (two.id, one.id)
    with pytest.raises(NotFoundError, match="hint: "):
        memory.get("01a00000-0000-7000-8000-000000000000")


def test_pages_lead_on_by_their_cursor(memory: Memory) -> None:
    memory.remember_many([{"content": f"note {i}"} for i in range(5)])
    first = memory.recall(limit=3)
    rest = memory.recall(limit=3, cursor=first.cursor)
    assert [h.content for h in [*first, *rest]] == [f"note {i}" for i in (4, 3, 2, 1, 0)]
    assert rest.cursor is None


def test_times_go_there_and_back(memory: Memory) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    made = memory.remember("the bridge opened", valid_from=noon, valid_to=date(2027, 1, 1), ttl_seconds=3600)
    read = memory.get(made)
    assert read.valid_from == noon and read.valid_to == datetime(2027, 1, 1, tzinfo=timezone.utc)
    assert read.expires_at and read.expires_at > read.created_at
    assert [h.id for h in memory.recall(after=noon, valid_at="2026-06-01")] == [made.id]
    assert memory.update(made, valid_to="").valid_to is None


def test_a_change_keeps_what_was_and_can_be_taken_back(memory: Memory) -> None:
    made = memory.remember("the meeting is on Monday")
    changed = memory.update(made, content="the meeting is on Tuesday", if_version=1)
    assert changed.version == 2
    with pytest.raises(ConflictError):
        memory.update(made, content="the meeting is on Friday", if_version=1)
    assert [v.change for v in memory.history(made).versions] == ["update", "create"]
    assert memory.restore(made, version=1).content == "the meeting is on Monday"


def test_what_is_forgotten_can_be_restored_and_what_is_purged_cannot(memory: Memory) -> None:
    keep, drop = memory.remember("keep this"), memory.remember("drop this", tags=["draft"])
    assert memory.forget(keep).forgotten == [keep.id]
    assert memory.restore(keep).content == "keep this"
    tried = memory.forget(filter={"tags": ["draft"]}, purge=True, dry_run=True)
    assert tried.forgotten == [drop.id] and tried.confirm
    assert memory.forget(filter={"tags": ["draft"]}, purge=True, confirm=tried.confirm).forgotten == [drop.id]
    with pytest.raises(NotFoundError):
        memory.restore(drop)


def test_links_are_followed_and_removed(memory: Memory) -> None:
    a, b, c = (memory.remember(f"step {s}") for s in "abc")
    assert memory.link(a, b, "leads_to", weight=0.5).weight == 0.5
    memory.link(b, c, "leads_to", metadata={"by": "test"}, valid_from=date(2026, 1, 1))
    path = memory.graph(a, mode="path", to=c)
    assert {(link.from_id, link.to_id) for link in path.links} == {(a.id, b.id), (b.id, c.id)}
    assert [e.id for e in path.engrams] == [a.id, b.id, c.id]
    assert [link.relation for link in memory.get(b, include_links=True).links] == ["leads_to", "leads_to"]
    assert len(memory.unlink(a, b)) == 1
    assert {e.id for e in memory.graph(a).engrams} == {a.id}
    d = memory.remember("step d", links=[{"to": c.id, "relation": "follows"}])
    assert [e.id for e in memory.graph(d, relations=["follows"]).engrams if e.id != d.id] == [c.id]


def test_agents_run_beside_the_memory(server: Server) -> None:
    server.cli("agent", "install", str(AGENTS / "c" / "tally"))
    with server.memory() as memory:
        memory.remember_many([{"content": "rain today", "source": "Ada"}, {"content": "rain tomorrow", "source": "Ben"}])
        run = memory.run("tally", "by", {"query": "rain", "by": "source"})
        assert run.output == {"hits": 2, "by": {"Ada": 1, "Ben": 1}, "other": 0}
        assert run.stats.fuel > 0 and run.stats.host_calls == 1
        assert memory.call("tally_by", {"by": "source"})["hits"] == 2
        assert [(a.name, a.grants) for a in memory.agents()] == [("tally", ["engram_search"])]
        assert [(s.agent, s.calls) for s in memory.agent_stats("tally")] == [("tally", 2)]


def test_many_threads_use_one_memory(memory: Memory) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda i: memory.remember(f"fact number {i}"), range(64)))
        read = list(pool.map(memory.get, made))
    assert [e.content for e in read] == [f"fact number {i}" for i in range(64)]


async def story(memory: AsyncMemory) -> None:
    async with memory:
        made = [await memory.remember(f"fact number {i}") for i in range(3)]
        found = {}

        async def read(i: int) -> None:
            found[i] = (await memory.get(made[i])).content

        async with anyio.create_task_group() as group:
            for i in range(3):
                group.start_soon(read, i)
        assert found == {i: f"fact number {i}" for i in range(3)}


def test_asynchronous_programs_call_at_once(server: Server) -> None:
    asyncio.run(story(server.async_memory()))


def test_a_memory_can_be_opened_again(server: Server) -> None:
    memory = server.memory()
    for _ in range(2):
        with memory:
            memory.remember("still here")
    with memory:
        assert memory.stats().engrams == 1


def test_leaving_is_quick_and_what_the_program_raises_comes_through(server: Server) -> None:
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError), server.memory():
        raise ZeroDivisionError

    async def fails() -> None:
        async with server.async_memory():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(fails())
    assert time.monotonic() - start < 20
