"""The log of operations while somebody rotates it: no line is lost, none goes where nobody looks."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import structlog

from autosurgeon.cli.logs import logging_to
from autosurgeon.cli.unit import logrotate_stanza


def numbers(*files: Path) -> list[int]:
    return [json.loads(line)["number"] for file in files for line in file.read_text().splitlines()]


def test_a_renamed_log_is_followed_by_a_new_file_while_the_logger_is_open(tmp_path: Path) -> None:
    log, old = tmp_path / "logs" / "operations.jsonl", tmp_path / "logs" / "operations.jsonl.1"
    with logging_to(log):
        logger = structlog.get_logger()
        logger.info("before", number=1)
        log.rename(old)
        logger.info("after", number=2)
        structlog.get_logger().info("after", number=3)
        log.unlink()
        logger.info("anew", number=4)
    assert (numbers(old), numbers(log)) == ([1], [4])


def test_no_line_is_lost_when_many_threads_write_while_it_is_renamed_again_and_again(tmp_path: Path) -> None:
    log, threads, lines = tmp_path / "operations.jsonl", 4, 200

    def write(first: int) -> None:
        for number in range(first, first + lines):
            structlog.get_logger().info("line", number=number)

    with logging_to(log):
        writers = [threading.Thread(target=write, args=(n * lines,)) for n in range(threads)]
        for writer in writers:
            writer.start()
        turn = 0
        while any(writer.is_alive() for writer in writers):
            if log.exists():
                log.rename(tmp_path / f"rotated-{turn}")
                turn += 1
        for writer in writers:
            writer.join()
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    assert turn > 0
    assert sorted(numbers(*files)) == list(range(threads * lines))


def test_a_run_without_space_for_a_new_log_loses_the_line_and_goes_on() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this machine has no /dev/full")
    with logging_to(full):
        structlog.get_logger().info("lost", number=1)


def test_logrotate_takes_the_stanza_and_what_comes_after_is_in_the_new_file(tmp_path: Path) -> None:
    program = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin")
    if program is None:
        pytest.skip("this machine has no logrotate")
    folder = tmp_path / "a workspace" / "logs"
    log, stanza = folder / "operations.jsonl", tmp_path / "stanza"
    stanza.write_text(logrotate_stanza(log, tmp_path.owner()))
    with logging_to(log):
        structlog.get_logger().info("before", number=1)
        command = [program, "--force", "--state", str(tmp_path / "state"), str(stanza)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        structlog.get_logger().info("after", number=2)
    assert (numbers(folder / "operations.jsonl.1"), numbers(log)) == ([1], [2])
