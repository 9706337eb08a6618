"""What a service manager hears of the loop: on a real socket, from real runs, and nothing from one that hangs."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import RecordingReporter
from notified import Manager
from theatre import learns_everything, small_theatre

from autosurgeon.core.jobs import TrainJob
from autosurgeon.core.value import Value
from autosurgeon.loop.engine.watchdog import Watchdog, WatchedReporter
from autosurgeon.loop.run_passes import run


@pytest.mark.parametrize("abstract", [False, True])
def test_a_socket_is_spoken_to_by_path_or_by_abstract_address(tmp_path: Path, abstract: bool) -> None:
    address = f"@autosurgeon-{os.getpid()}-{time.monotonic_ns()}" if abstract else str(tmp_path / "s")
    with Manager(address) as manager:
        watchdog = Watchdog.taken_from(manager.environment(60))
        with watchdog.at_work():
            watchdog.status("two\nlines, Größe " + "x" * 500)
        heard = manager.listen(0.2)
    assert (heard[0], heard[1], heard[-1]) == ("READY=1", "WATCHDOG=1", "STOPPING=1")
    assert heard[2].startswith("STATUS=two lines, Größe xxx")
    assert len(heard[2]) < 220


@pytest.mark.parametrize(
    "environment",
    [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:99"}, {"NOTIFY_SOCKET": "/no/such/socket"}],
    ids=["none", "empty", "of another kind", "no socket"],
)
def test_without_a_manager_nothing_is_sent_and_nothing_fails(environment: dict[str, str]) -> None:
    watchdog = Watchdog.taken_from(environment | {"WATCHDOG_USEC": "1000"})
    with watchdog.at_work():
        watchdog.beat()
        watchdog.status("going on")


def test_the_variables_are_taken_out_so_that_no_child_speaks_for_the_loop() -> None:
    environment = {"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    Watchdog.taken_from(environment)
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("pid", "usec", "beats"),
    [
        ("", "1000000", True),
        ("mine", "1000000", True),
        ("1", "1000000", False),
        ("", "", False),
        ("", "soon", 0),
    ],
)
def test_beats_go_only_where_they_are_asked_of_this_process(tmp_path: Path, pid: str, usec: str, beats: bool) -> None:
    pid = str(os.getpid()) if pid == "mine" else pid
    with Manager.at(tmp_path) as manager:
        asked = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_PID": pid, "WATCHDOG_USEC": usec}
        Watchdog.taken_from(asked).beat()
        assert manager.listen(0.1) == ["WATCHDOG=1"] * beats


def test_many_beats_are_sent_four_times_in_an_interval(tmp_path: Path) -> None:
    with Manager.at(tmp_path) as manager:
        watchdog = Watchdog(manager.address, 0.4)
        end = time.monotonic() + 0.55
        while time.monotonic() < end:
            watchdog.beat()
        assert 2 <= len(manager.listen(0.05)) <= 6


def test_a_manager_that_reads_nothing_holds_the_loop_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosurgeon.loop.engine.watchdog.SEND_S", 0.05)
    with Manager.at(tmp_path) as manager:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
            flood.setblocking(False)
            flood.connect(manager.address)
            with pytest.raises(BlockingIOError):
                while True:
                    flood.send(b"x")
        watchdog, began = Watchdog(manager.address, 0.001), time.monotonic()
        watchdog.beat()
        watchdog.status("still here")
        assert time.monotonic() - began < 5


def test_a_pass_is_announced_stage_by_stage_with_beats_and_a_stage_that_blocks_is_silent(tmp_path: Path) -> None:
    interval_s, blocked_s = 0.4, 1.6
    blocked: list[float] = []

    def block(job: Value) -> None:
        if isinstance(job, TrainJob):
            blocked.append(time.monotonic())
            time.sleep(blocked_s)

    with Manager.at(tmp_path) as manager, small_theatre(tmp_path / "w", learns_everything, before=block) as ins:
        watchdog = Watchdog(manager.address, interval_s)
        ins = replace(ins, reporter=WatchedReporter(RecordingReporter(), watchdog), beat=watchdog.beat)
        with manager.listening(), watchdog.at_work():
            assert run(ins) == "passes"
    words = manager.words
    assert (words[0], words[-1]) == ("READY=1", "STOPPING=1")
    assert "STATUS=pass 1: train" in words
    assert "STATUS=pass 1: CONFIRMED" in words
    assert any(word.startswith("STATUS=bench of pack-") for word in words)
    beats = [when for when, word in manager.received if word == "WATCHDOG=1"]
    assert len(beats) > 3
    (began,) = blocked
    assert not [when for when in beats if began + interval_s < when < began + blocked_s - interval_s / 2]
