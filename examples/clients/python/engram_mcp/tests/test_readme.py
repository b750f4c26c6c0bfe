"""One `pip install` and five lines, as the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The package as pip installs it, with extras. What it needs must be there, at versions that it allows."""
    prefix = tmp_path_factory.mktemp("prefix")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--prefix", str(prefix), f"{PROJECT}[langchain,pydantic-ai]"], check=True, timeout=300)
    return sysconfig.get_path("purelib", vars={"base": str(prefix)})


@pytest.mark.parametrize("readme", [PROJECT / "README.md", PROJECT.parents[3] / "README.md"])
def test_five_lines_remember_and_recall(readme: Path, installed: str, binary: str, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 5
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "engram-mcp").symlink_to(Path(binary).resolve())
    ran = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {installed!r})\n{program}"],
        env={**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}", "ENGRAM_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.stdout, ran.returncode) == ("Ada prefers tea in the morning\n", 0), ran.stderr


def test_the_extras_are_not_needed_to_begin_with(installed: str) -> None:
    check = "import sys, engram_mcp; print([m for m in ('langchain_core', 'pydantic_ai') if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {installed!r}); {check}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stdout == "[]\n", ran.stderr


def test_types_come_with_the_package(installed: str) -> None:
    assert (Path(installed) / "engram_mcp" / "py.typed").exists()
