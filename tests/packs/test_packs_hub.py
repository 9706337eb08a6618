"""A hub's checkpoint: weights and JSON files, fetched by commit from a local test hub, and cached."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from builders import write_checkpoint

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FETCH = "import sys; from autosurgeon.packs.hub import fetch_checkpoint; print(fetch_checkpoint(*sys.argv[1:]))"


class Hub(ThreadingHTTPServer):
    """The part of a hub's API that a snapshot of one repository needs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder, self.asked = folder, list[str]()


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(self.path)
        name = self.path.removeprefix(f"/one/organ/resolve/{COMMIT}/")
        files = sorted(file.name for file in self.server.folder.iterdir())
        if self.path.startswith(f"/api/models/one/organ/revision/{COMMIT}"):
            answer = {"id": "one/organ", "sha": COMMIT, "siblings": [{"rfilename": file} for file in files]}
            content = json.dumps(answer).encode()
        elif self.path.startswith(f"/api/models/one/organ/tree/{COMMIT}"):
            sizes = {file: (self.server.folder / file).stat().st_size for file in files}
            content = json.dumps(
                [{"type": "file", "path": f, "size": n, "oid": "0"} for f, n in sizes.items()]
            ).encode()
        elif name in files:
            content = (self.server.folder / name).read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = write_checkpoint(tmp_path / "repository")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    (folder / "modeling.py").write_text("")
    with Hub(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


LOOK = """
import sys
from autosurgeon.packs.hub import ask_hub, cached_checkpoint
print(cached_checkpoint(*sys.argv[1:]) or ask_hub(*sys.argv[1:]))
"""


def fetch(home: Path, endpoint: str, revision: str = COMMIT, program: str = FETCH) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", program, "one/organ", revision]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_weights_and_json_are_fetched_once_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    endpoint, home = f"http://127.0.0.1:{hub.server_port}", tmp_path / "home"
    done = fetch(home, endpoint)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(home)
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(file.name for file in folder.iterdir()) == names
    for name in names:
        assert (folder / name).read_bytes() == (hub.folder / name).read_bytes()
    asked = len(hub.asked)
    # An interrupted fetch is repeated; a complete one needs no network.
    assert fetch(home, endpoint).stdout == done.stdout
    assert len(hub.asked) == asked
    (folder / "tokenizer.json").unlink()
    assert fetch(home, endpoint).stdout == done.stdout
    assert (folder / "tokenizer.json").is_file()


def test_a_commit_that_the_hub_lacks_is_an_error_of_one_line(hub: Hub, tmp_path: Path) -> None:
    done = fetch(tmp_path / "home", f"http://127.0.0.1:{hub.server_port}", "f" * 40)
    assert done.returncode != 0
    assert "PackError: a hub's checkpoint cannot be fetched" in done.stderr.splitlines()[-1]


def test_a_check_fetches_nothing_and_reports_what_the_hub_or_the_cache_has(hub: Hub, tmp_path: Path) -> None:
    endpoint, home = f"http://127.0.0.1:{hub.server_port}", tmp_path / "home"
    done = fetch(home, endpoint, program=LOOK)
    assert "model.safetensors" in done.stdout, done.stderr
    assert not list(home.rglob("*.safetensors"))
    away = fetch(home, "http://127.0.0.1:1", program=LOOK)
    assert "the hub cannot be asked for it" in away.stderr.splitlines()[-1]
    folder = fetch(home, endpoint).stdout
    assert fetch(home, "http://127.0.0.1:1", program=LOOK).stdout == folder
