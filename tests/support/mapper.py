"""The C++ program that maps a pack's weights, compiled for the tests that want one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def compiled(folder: Path) -> Path:
    """The program, built into a folder; the test skips where there is no compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    built, source = folder / "map_pack", Path(__file__).parent.parent / "packs" / "map_pack.cpp"
    subprocess.run([compiler, "-std=c++17", "-O2", "-Wall", "-Werror", source, "-o", built], check=True)
    return built
