"""What single checks of `doctor` find in a workspace with given settings."""

from __future__ import annotations

from pathlib import Path

from autosurgeon.cli.checks import Finding, try_check
from autosurgeon.cli.doctor_settings import check_settings
from autosurgeon.config import load_settings

SECRET = "token-4711"


def findings(root: Path, text: str, *names: str) -> dict[str, Finding]:
    """What came of the checks whose names begin so, by name."""
    file = root / "autosurgeon.toml"
    file.write_text(text, encoding="utf-8")
    tried = [try_check(check) for check in check_settings(root, load_settings(file)) if check.name.startswith(names)]
    assert all(one.found and "\n" not in one.found and "Traceback" not in one.found for one in tried)
    assert SECRET not in repr(tried)
    return {one.check: one for one in tried}


def finding(root: Path, text: str, name: str) -> Finding:
    return findings(root, text, name)[name]


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path
