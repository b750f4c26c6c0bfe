"""The types and signatures of this client are those of the server's tools.

A server that says more, less or otherwise fails these tests, so that the two
cannot drift apart.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import types
import typing
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import AGENTS, Server
from pydantic import BaseModel

import engram_mcp.client as client
from engram_mcp import AsyncMemory, Engram, Filter, Hit, Memory, NewEngram, NewLink
from engram_mcp._offer import DEFAULT
from engram_mcp._sdk import Local
from engram_mcp.types import (
    Agent,
    AgentStats,
    Forgotten,
    Found,
    Graph,
    History,
    Hook,
    Link,
    Recalled,
    Run,
    Scheduled,
    SinceStart,
    Stats,
)

# What each tool answers, and the methods that call it, together with the
# arguments that these make of others.
TOOLS: dict[str, tuple[type[BaseModel], list[Callable[..., Any]], dict[str, str]]] = {
    "engram_create": (client._CreatedList, [AsyncMemory.remember, AsyncMemory.remember_many], {}),
    "engram_get": (Found, [AsyncMemory.get_many], {"engrams": "ids"}),
    "engram_search": (Recalled, [AsyncMemory.recall], {}),
    "engram_update": (client._EngramOne, [AsyncMemory.update], {"engram": "id"}),
    "engram_forget": (Forgotten, [AsyncMemory.forget], {"engrams": "ids"}),
    "engram_restore": (client._EngramOne, [AsyncMemory.restore], {"engram": "id"}),
    "engram_history": (History, [AsyncMemory.history], {"engram": "id"}),
    "engram_graph": (Graph, [AsyncMemory.graph], {}),
    "agent_run": (Run, [AsyncMemory.run], {}),
    "agent_list": (client._AgentList, [AsyncMemory.agents], {}),
    "agent_stats": (client._AgentStatsList, [AsyncMemory.agent_stats], {}),
    "memory_stats": (Stats, [AsyncMemory.stats], {}),
}
LINKS: dict[str, Callable[..., Any]] = {"engram_link": AsyncMemory.link, "engram_unlink": AsyncMemory.unlink}

# What a method adds of its own, and what it has no typed form of: a page of
# hits with some of the fields is no page of Hit.
OWN = {"self", "timeout"}
UNTYPED = {"engram_search": {"fields"}}

JSON_TYPES: dict[Any, str] = {
    str: "string",
    datetime: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}


@pytest.fixture(scope="module")
def schemas(binary: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    with Memory.local(command=binary, data=tmp_path_factory.mktemp("data")) as memory:
        return {tool.name: (tool.input_schema, tool.output_schema or {}) for tool in memory.tools()}


def plain(kind: Any) -> Any:
    """A type without its None."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        (kind,) = [k for k in typing.get_args(kind) if k is not type(None)]
    return kind


def compare(model: type[BaseModel], schema: dict[str, Any], where: str) -> None:
    """A model has exactly the keys of a schema, with its types; what may be absent has a default."""
    if "properties" not in schema:  # too long to be declared: compared with records below
        return
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    assert set(fields) == set(schema["properties"]), where
    for name, part in schema["properties"].items():
        at = f"{where}.{name}"
        assert fields[name].is_required() == (name in schema.get("required", [])), at
        kind = plain(fields[name].annotation)
        if kind is Any:
            continue
        origin = typing.get_origin(kind) or kind
        if isinstance(origin, type) and issubclass(origin, BaseModel):
            compare(origin, part, at)
            continue
        assert JSON_TYPES[origin] == part["type"], at
        if origin is list and isinstance(item := typing.get_args(kind)[0], type) and issubclass(item, BaseModel):
            compare(item, part["items"], at)


@pytest.mark.parametrize("tool", TOOLS)
def test_answers_are_typed_as_declared(tool: str, schemas: dict[str, Any]) -> None:
    compare(TOOLS[tool][0], schemas[tool][1], tool)


@pytest.mark.parametrize("tool", LINKS)
def test_answered_links_are_typed_as_declared(tool: str, schemas: dict[str, Any]) -> None:
    compare(client._LinkList, schemas[tool][1], tool)


@pytest.mark.parametrize("tool", TOOLS)
def test_methods_take_what_tools_take(tool: str, schemas: dict[str, Any]) -> None:
    _, methods, renamed = TOOLS[tool]
    taken = {renamed.get(name, name) for m in methods for name in inspect.signature(m).parameters} - OWN
    assert taken | UNTYPED.get(tool, set()) == set(schemas[tool][0]["properties"])


@pytest.mark.parametrize("tool", LINKS)
def test_methods_take_the_parts_of_a_link(tool: str, schemas: dict[str, Any]) -> None:
    properties = schemas[tool][0]["properties"]
    ends = {"from_engram": "from", "to_engram": "to"}
    taken = {ends.get(name, name) for name in inspect.signature(LINKS[tool]).parameters} - OWN
    assert taken == set(properties["links"]["items"]["properties"]) | {"request_id"} == taken


def test_dictionaries_have_the_keys_of_the_server(schemas: dict[str, Any]) -> None:
    create, search = schemas["engram_create"][0]["properties"], schemas["engram_search"][0]["properties"]
    assert set(NewEngram.__annotations__) == set(create) - {"engrams", "request_id"}
    assert set(NewLink.__annotations__) == set(create["links"]["items"]["properties"])
    not_filters = {"query", "limit", "cursor", "max_tokens", "mode", "explain", "fields"}
    assert set(Filter.__annotations__) == set(search) - not_filters


def test_models_get_the_tools_that_the_server_offers_by_default(binary: str, tmp_path: Path) -> None:
    server = Local(binary, ("serve", "--data", str(tmp_path)), dict(os.environ))
    with Memory(AsyncMemory(server)) as memory:
        assert {tool.name for tool in memory.tools()} == set(DEFAULT)


def test_both_memories_have_the_same_methods() -> None:
    names = [name for name, value in vars(AsyncMemory).items() if inspect.iscoroutinefunction(value) and name[0] != "_"]
    assert len(names) > 15
    for name in names:
        assert inspect.signature(getattr(Memory, name)) == inspect.signature(getattr(AsyncMemory, name)), name
    assert set(dir(AsyncMemory)) - set(dir(Memory)) <= {"_ask", "_serve", "_within", "__aenter__", "__aexit__"}


def assert_same_keys(model: type[BaseModel], records: list[dict[str, Any]], *, elsewhere: set[str] = set()) -> None:
    """The records together have the keys of the model, and each has those that it needs."""
    keys = {field.alias or name: field.is_required() for name, field in model.model_fields.items()}
    assert set().union(*records) | elsewhere == set(keys)
    for record in records:
        assert {name for name, needed in keys.items() if needed} <= set(record)
        model.model_validate(record)


def test_records_have_the_keys_of_the_types(binary: str, tmp_path: Path) -> None:
    """Engrams, hits and agents are not declared by the schemas: a full one of each is compared."""
    server = Server(binary, tmp_path)
    wired = tmp_path / "wired"
    shutil.copytree(AGENTS / "c" / "tally", wired)
    manifest = json.loads((wired / "agent.json").read_text())
    hooks = [{"on": "before:engram_unlink", "action": "by"}]
    schedule = [{"every": "24h", "action": "by"}, {"daily_at": "04:00", "action": "by"}]
    (wired / "agent.json").write_text(json.dumps({**manifest, "hooks": hooks, "schedule": schedule}))
    server.cli("agent", "install", str(wired))
    server.cli("agent", "approve", "tally", "--yes")
    full: NewEngram = {
        "source": "Ada",
        "tags": ["t"],
        "metadata": {"k": 1},
        "context": "c",
        "collections": ["l"],
        "valid_from": "2026-01-01",
        "valid_to": "2030-01-01",
        "ttl_seconds": 3600,
    }
    with server.memory() as memory:
        made = memory.remember_many({**full, "content": f"full {i}"} for i in range(3))
        memory.link(made[0], made[1], "then", metadata={"k": 1}, valid_from="2026-01-01", valid_to="2030-01-01")
        memory.get_many(made)
    # Accesses are counted in the background, and at the latest when a server ends.
    with server.memory() as memory:
        engrams = memory.call("engram_get", {"ids": [m.id for m in made], "include_links": True})["engrams"]
        assert_same_keys(Engram, engrams, elsewhere={"truncated"})
        assert_same_keys(Link, engrams[0]["links"])
        long = memory.remember("word " * 2000)
        (cut,) = memory.call("engram_graph", {"start": [long.id]})["engrams"]
        assert cut["truncated"] and Engram.model_validate(cut).truncated
        hits = memory.call("engram_search", {"query": "full", "explain": True})["hits"]
        assert_same_keys(Hit, hits, elsewhere={"truncated"})
        short = memory.call("engram_search", {"query": "word", "max_tokens": 200})["hits"]
        assert short[0]["truncated"] and Hit.model_validate(short[0]).truncated
        memory.run("tally", "by")
        (agent,) = memory.call("agent_list")["agents"]
        assert_same_keys(Agent, [agent], elsewhere={"problem"})
        assert_same_keys(Hook, agent["hooks"])
        assert_same_keys(Scheduled, agent["schedule"], elsewhere={"last", "failures"})
        (stats,) = memory.call("agent_stats")["agents"]
        assert_same_keys(AgentStats, [stats], elsewhere={"last_error", "last_run"})
        assert_same_keys(SinceStart, [stats["since_start"]], elsewhere={"restarts", "retries"})
