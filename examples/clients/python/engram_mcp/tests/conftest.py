"""A server of the program under test, over both transports."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engram_mcp import AsyncMemory, Memory

AGENTS = Path(__file__).parents[4] / "agents"


@dataclass
class Server:
    """Where a memory is, and how to reach it."""

    binary: str
    data: Path
    url: str | None = None
    token: str | None = None
    process: subprocess.Popen[bytes] | None = None

    def cli(self, *args: str) -> Any:
        """Run a command of the program on this memory."""
        out = subprocess.run(
            [self.binary, "--data", str(self.data), "--json", *args], check=True, stdout=subprocess.PIPE, timeout=60
        )
        return json.loads(out.stdout)

    def memory(self, timeout: float = 60) -> Memory:
        if self.url:
            return Memory.http(self.url, token=self.token, timeout=timeout)
        return Memory.local(command=self.binary, data=self.data, agent="tester", timeout=timeout)

    def async_memory(self, timeout: float = 60) -> AsyncMemory:
        if self.url:
            return AsyncMemory.http(self.url, token=self.token, timeout=timeout)
        return AsyncMemory.local(command=self.binary, data=self.data, agent="tester", timeout=timeout)


@pytest.fixture(scope="session")
def binary() -> str:
    found = shutil.which(os.environ.get("ENGRAM_BINARY", "engram-mcp"))
    if found is None:
        pytest.exit("there is no engram-mcp: build it, and name it in ENGRAM_BINARY or put it on the path", 2)
    return found


@pytest.fixture(autouse=True)
def nothing_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith("ENGRAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@contextmanager
def serve(binary: str, data: Path) -> Iterator[Server]:
    """Serve over HTTP, with a token that may do everything."""
    server = Server(binary, data)
    server.token = server.cli("token", "create", "tester", "--rights", "read,write,admin")["token"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server.url = f"http://{address}/mcp"
    server.process = subprocess.Popen(
        [binary, "--data", str(data), "serve", "--tools", "all", "--http", address], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(f"http://{address}/healthz")
        yield server
    finally:
        server.process.kill()
        server.process.wait(20)


def wait_for(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not listen")


@pytest.fixture(params=["stdio", "http"])
def server(request: pytest.FixtureRequest, binary: str, tmp_path: Path) -> Iterator[Server]:
    data = tmp_path / "data"
    if request.param == "stdio":
        yield Server(binary, data)
        return
    with serve(binary, data) as server:
        yield server


@pytest.fixture
def memory(server: Server) -> Iterator[Memory]:
    with server.memory() as memory:
        yield memory
