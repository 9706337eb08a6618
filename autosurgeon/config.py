"""Settings: from flags, the environment (`AUTOSURGEON_…`) and `autosurgeon.toml`, in that order of precedence.

The sections are in `sections.py`, `endpoints.py` and `levers.py`; `variables.py` reads the environment, and
`places.py` resolves relative paths. A Settings is frozen and passed as an argument; there is no global one.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError

from autosurgeon.endpoints import DeploySettings, FallbackSettings, NotifySettings, ServingSettings
from autosurgeon.errors import UserError, nearest
from autosurgeon.levers import LeverSettings
from autosurgeon.places import ConfigPath, anchor_places
from autosurgeon.sections import (
    AnchorSettings,
    AuditSettings,
    BenchName,
    BenchSettings,
    CapsuleSettings,
    GradingSettings,
    LabSettings,
    LoopSettings,
    OrganSettings,
    RetentionSettings,
    SearchSettings,
    Section,
    StatisticsSettings,
    StoreSettings,
)
from autosurgeon.variables import merge, read_variables

CONFIG_FILE = "autosurgeon.toml"


def shipped(*parts: str) -> Path:
    """Return the path of a shipped file: next to the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parent
    root = package.parent if (package.parent / "policies").is_dir() else package / "_shipped"
    return root.joinpath(*parts)


class Settings(Section):
    """All settings."""

    policy: ConfigPath | None = None
    """Policy file; bd62.yaml when empty."""
    seed: int = Field(0, ge=0, le=2**53 - 1)
    """Seed of a workspace, from which each pass derives its own; at most 2^53 - 1, exact in any JSON."""
    organ: OrganSettings = OrganSettings()
    search: SearchSettings = SearchSettings()
    levers: LeverSettings = LeverSettings()
    anchors: AnchorSettings = AnchorSettings()
    statistics: StatisticsSettings = StatisticsSettings()
    capsule: CapsuleSettings = CapsuleSettings()
    grading: GradingSettings = GradingSettings()
    loop: LoopSettings = LoopSettings()
    retention: RetentionSettings = RetentionSettings()
    notify: NotifySettings = NotifySettings()
    deploy: DeploySettings = DeploySettings()
    store: StoreSettings = StoreSettings()
    audit: AuditSettings = AuditSettings()
    serving: ServingSettings = ServingSettings()
    fallback: FallbackSettings = FallbackSettings()
    lab: LabSettings = LabSettings()
    benches: Mapping[BenchName, BenchSettings] = Field(default_factory=dict)
    """The organ's benches, in the order of the file; the lab's benches when empty."""

    @property
    def policy_file(self) -> Path:
        """The policy file, shipped or named."""
        return self.policy or shipped("policies", "bd62.yaml")

    @property
    def organ_folder(self) -> Path:
        """The folder of the base checkpoint, the lab's or the named one."""
        return self.organ.model or shipped("data", "lab", "base")


SECRETIVE = ("notify", "deploy", "store", "serving", "fallback")
"""Sections whose values are never shown: a webhook, a key or a URL may be a secret."""


def load_settings(
    file: Path | None,
    *,
    seed: int | None = None,
    policy: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Load the settings: a TOML file, overridden by the environment, overridden by flags.

    Args:
        file: None for the defaults; relative paths in it start at its folder.
        seed: value of the flag, if given.
        policy: value of the flag, if given.
        environment: variables, by default the process's own; relative paths in them start at the current directory.

    Raises:
        UserError: an unreadable file, an unknown setting or variable, or an invalid value.

    """
    content: dict[str, Any] = {}
    if file is not None:
        content = _read(file)
        with _named(file):
            anchor_places(Settings, content, file.absolute().parent)
    variables = read_variables(Settings, os.environ if environment is None else environment, content)
    with _named("environment"):
        anchor_places(Settings, variables.content, Path.cwd())
    try:
        settings = Settings.model_validate(_with_defaults(Settings(), merge(content, variables.content)))
    except ValidationError as error:
        raise _explain(error, file, variables.names) from error
    given = {name: value for name, value in {"seed": seed, "policy": policy}.items() if value is not None}
    return settings.model_copy(update=given) if given else settings


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError("a config file cannot be read", got=error.strerror, where=file) from error
    except ValueError as error:  # from TOML, UTF-8, or a number with thousands of digits
        raise UserError("a config file is not TOML", got=error, where=file) from error
    except RecursionError as error:
        raise UserError("a config file is nested too deeply", where=file) from error


@contextlib.contextmanager
def _named(where: Path | str) -> Iterator[None]:
    """Add the settings' source to an error."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error), where=where) from error


def _with_defaults(section: BaseModel, content: Mapping[str, Any]) -> dict[str, Any]:
    """Raw settings, with the section's defaults for fields that a table does not set.

    A section's own default may differ from that of its model's fields, as the spans of `[search]` do.
    """
    filled = dict(content)
    for name in type(section).model_fields:
        default = getattr(section, name)
        if isinstance(default, BaseModel) and isinstance(filled.get(name), dict):
            known = {field: getattr(default, field) for field in type(default).model_fields}
            filled[name] = {**known, **_with_defaults(default, filled[name])}
    return filled


def _explain(error: ValidationError, file: Path | None, variables: Mapping[tuple[str, ...], str]) -> UserError:
    first = error.errors()[0]
    location = [str(step) for step in first["loc"]]
    name = ".".join(location)
    set_by = [variables[way] for end in range(len(location), 0, -1) if (way := tuple(location[:end])) in variables]
    where = set_by[0] if set_by else file or "environment"
    if first["type"] == "extra_forbidden":
        model: Any = Settings
        for step in location[:-1]:
            known = hasattr(model, "model_fields")
            model = model.model_fields[step].annotation if known else get_args(model)[1]
        return UserError(f"unknown setting {name!r}", wanted=nearest(location[-1], model.model_fields), where=where)
    # A whole table would make the line unreadable.
    is_shown = location[0] not in SECRETIVE and not isinstance(first["input"], Mapping)
    return UserError(f"setting {name!r}: {first['msg']}", got=repr(first["input"]) if is_shown else None, where=where)
