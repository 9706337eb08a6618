"""The floors of the house, and the quarantine: nothing outside the capsule ever loads the torch stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "safetensors", "tokenizers"}
MAX_LINES = 330


def test_every_floor_imports_only_what_is_below_it() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_fresh_interpreter_that_imports_the_cli_and_the_wiring_has_no_heavy_module_loaded() -> None:
    probe = "import json, sys, autosurgeon.cli.main, autosurgeon.wiring; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    # The HTTP client is loaded only when a server is asked.
    assert not (HEAVY | {"httpx2"}) & {name.split(".")[0] for name in json.loads(done.stdout)}


def test_asking_for_help_loads_neither_the_store_nor_the_proposer_nor_the_settings() -> None:
    probe = "import json, sys, autosurgeon.cli.main; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"sqlmodel", "optuna", "pydantic", "structlog", "yaml", "jinja2", "matplotlib"} & set(
        json.loads(done.stdout)
    )


def test_no_file_is_longer_than_a_room_may_be() -> None:
    files = [*ROOT.glob("autosurgeon/**/*.py"), *ROOT.glob("tests/**/*.py")]
    assert len(files) > 50
    assert not {
        str(file.relative_to(ROOT)): n for file in files if (n := len(file.read_text().splitlines())) > MAX_LINES
    }


def test_what_draws_and_fills_pages_is_loaded_only_when_a_page_is_made() -> None:
    modules = "json, sys, autosurgeon.cli.main, autosurgeon.loop.run_passes"
    probe = f"import {modules}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert not {"jinja2", "matplotlib"} & set(json.loads(done.stdout))
