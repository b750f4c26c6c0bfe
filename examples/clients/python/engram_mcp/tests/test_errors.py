"""What a program is told when something is wrong, over both transports."""

from __future__ import annotations

import base64
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest
from conftest import Server, serve

import engram_mcp.client as client
from engram_mcp import (
    AsyncMemory,
    BusyError,
    ClosedError,
    DeniedError,
    EngramError,
    FailedError,
    InvalidError,
    Memory,
    NotFoundError,
    TimedOutError,
)

# A module whose tool_spin never ends: (func (export "tool_spin") (result i32) (loop (br 0)) (i32.const 0)).
SPIN = bytes.fromhex(
    "0061736d01000000"  # a module of version 1
    "0105016000017f"  # a type: () -> i32
    "03020100"  # a function of it
    "070d0109746f6f6c5f7370696e0000"  # exported as tool_spin
    "0a0b0109000340" "0c000b" "41000b"  # its body
)
SECONDS = 25
"""The limit of that agent: what ends sooner was stopped by its caller."""


def install_spin(memory: Memory) -> None:
    manifest = {"name": "spin", "actions": [{"name": "spin"}], "limits": {"time_ms": SECONDS * 1000, "fuel": 10**12}}
    memory.call("agent_install", {"manifest": manifest, "code_base64": base64.b64encode(SPIN).decode()})


def assert_stops(memory: Memory) -> None:
    """The run of spin that was given up ends at the server as well."""
    end = time.monotonic() + SECONDS - 5
    while time.monotonic() < end:
        if memory.agent_stats("spin")[0].since_start.errors:
            return
        time.sleep(0.1)
    raise AssertionError("the server goes on with what was given up")


@pytest.mark.parametrize(
    ("call", "error", "hint"),
    [
        (lambda m: m.recall("tea", limit=1000), InvalidError, "limit"),
        (lambda m: m.remember(""), InvalidError, "content"),
        (lambda m: m.remember("x", valid_from="soon"), InvalidError, "2026"),
        (lambda m: m.remember("x", valid_from=datetime(2026, 1, 1)), InvalidError, "timezone"),
        (lambda m: m.update("01a00000-0000-7000-8000-000000000000", content="x"), NotFoundError, "engram_search"),
        (lambda m: m.run("nobody", "by"), NotFoundError, "agent"),
        (lambda m: m.call("engram_dream"), NotFoundError, "--tools"),
    ],
)
def test_errors_say_the_remedy(memory: Memory, call: Callable[[Memory], object], error: type[EngramError], hint: str) -> None:
    with pytest.raises(error) as raised:
        call(memory)
    assert raised.value.hint and hint in raised.value.hint
    assert str(raised.value) == f"{raised.value.what}\nhint: {raised.value.hint}"


def test_a_call_that_takes_too_long_is_stopped_at_the_server(memory: Memory) -> None:
    install_spin(memory)
    with pytest.raises(TimedOutError, match="timeout") as raised:
        memory.run("spin", "spin", timeout=0.5)
    assert isinstance(raised.value, TimeoutError)
    assert_stops(memory)
    assert memory.remember("the conversation goes on").version == 1


def test_a_call_that_is_cancelled_is_stopped_at_the_server(server: Server) -> None:
    async def gives_up(memory: AsyncMemory) -> None:
        async with memory:
            with anyio.move_on_after(0.5) as scope:
                await memory.run("spin", "spin")
            assert scope.cancelled_caught
            end = time.monotonic() + SECONDS - 5
            while not (await memory.agent_stats("spin"))[0].since_start.errors:
                assert time.monotonic() < end, "the server goes on with what was given up"
                await anyio.sleep(0.1)

    with server.memory() as memory:
        install_spin(memory)
    anyio.run(gives_up, server.async_memory())


def test_an_interrupted_call_is_stopped_at_the_server(memory: Memory) -> None:
    install_spin(memory)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        memory.run("spin", "spin")
    assert_stops(memory)


def test_a_wrong_token_is_told_from_a_server_that_is_not_there(binary: str, tmp_path: Path) -> None:
    with serve(binary, tmp_path / "data") as server:
        assert server.url
        with pytest.raises(DeniedError, match="engram-mcp token create"), Memory.http(server.url, token="wrong"):
            pass
        with pytest.raises(EngramError, match="/mcp"), Memory.http(server.url + "x", token=server.token):
            pass
    with pytest.raises(ClosedError, match="there is no server"), server.memory():
        pass


@pytest.mark.parametrize(("status", "error"), [(403, DeniedError), (429, BusyError), (503, BusyError), (500, FailedError)])
def test_what_http_refuses_is_told_apart(status: int, error: type[EngramError]) -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(error, match="hint: "), Memory.http(f"http://127.0.0.1:{server.server_port}/mcp"):
        pass
    server.shutdown()
    server.server_close()


def test_without_the_program_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="go build"):
        Memory.local(command=str(tmp_path / "nothing"))


def test_a_program_that_is_no_server_is_an_error_soon() -> None:
    with pytest.raises(ClosedError), Memory.local(command="true"):
        pass


def test_a_program_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "engram-mcp"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setattr(client, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(TimedOutError, match="not answered"), Memory.local(command=str(script)):
        pass


@pytest.mark.parametrize("how", ["stdio", "http"])
def test_a_server_that_dies_ends_the_calls_under_way(how: str, binary: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        if how == "http":
            server = stack.enter_context(serve(binary, tmp_path / "data"))
            assert server.process
            die = server.process.kill
        else:
            script, pid = tmp_path / "engram-mcp", tmp_path / "pid"
            script.write_text(f'#!/bin/sh\necho $$ >{pid}\nexec {binary} "$@"\n')
            script.chmod(0o755)
            server = Server(str(script), tmp_path / "data")

            def die() -> None:
                os.kill(int(pid.read_text()), signal.SIGKILL)

        memory = stack.enter_context(server.memory())
        install_spin(memory)
        threading.Timer(0.5, die).start()
        start = time.monotonic()
        with pytest.raises(ClosedError):
            memory.run("spin", "spin")
        assert time.monotonic() - start < SECONDS, "the call went on without a server"
        with pytest.raises(ClosedError):
            memory.remember("nobody listens")


def test_a_revoked_token_ends_nothing_but_the_call(binary: str, tmp_path: Path) -> None:
    with serve(binary, tmp_path / "data") as server, server.memory() as memory:
        memory.remember("while it holds")
        server.cli("token", "revoke", "tester")
        time.sleep(2.5)  # a server looks once a second
        for _ in range(2):
            with pytest.raises((DeniedError, ClosedError)):
                memory.remember("no longer")


def test_read_only_says_so(binary: str, tmp_path: Path) -> None:
    with Memory.local(command=binary, data=tmp_path) as memory:
        memory.remember("already there")
    with Memory.local(command=binary, data=tmp_path, read_only=True) as memory:
        assert len(memory.recall("there")) == 1
        with pytest.raises(EngramError) as raised:
            memory.remember("not now")
        assert raised.value.kind in ("denied", "not_found")


def test_a_memory_that_is_not_open_says_so(binary: str, tmp_path: Path) -> None:
    memory = Memory.local(command=binary, data=tmp_path)
    with pytest.raises(ClosedError, match="with"):
        memory.stats()
