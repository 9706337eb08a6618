"""Settings: from flags, the environment (`AUTOSURGEON_…`) and `autosurgeon.toml`, in that order of precedence.

The sections stand in `sections.py`. A Settings is frozen and passed as an argument; there is no global one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from autosurgeon.endpoints import DeploySettings, FallbackSettings, NotifySettings, ServingSettings
from autosurgeon.errors import UserError, nearest
from autosurgeon.levers import LeverSettings
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
    StatisticsSettings,
    StoreSettings,
)

CONFIG_FILE = "autosurgeon.toml"


def shipped(*parts: str) -> Path:
    """A file that comes with the product: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(__file__).resolve().parent
    root = package.parent if (package.parent / "policies").is_dir() else package / "_shipped"
    return root.joinpath(*parts)


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="AUTOSURGEON_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    policy: Path | None = None
    """Policy file; bd62.yaml when empty."""
    seed: int = Field(0, ge=0, le=2**53 - 1)
    """Seed of a workspace, from which each pass derives its own; at most 2^53 - 1, which every reader of JSON takes."""
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
    """What the organ is benched on, in the order of the file; the lab's benches when empty."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment above what was passed in, since what was passed in is the file's content."""
        return env_settings, init_settings

    @property
    def policy_file(self) -> Path:
        """The policy in force."""
        return self.policy or shipped("policies", "bd62.yaml")

    @property
    def organ_folder(self) -> Path:
        """The base checkpoint in force."""
        return self.organ.model or shipped("data", "lab", "base")


PATHS = (
    ("policy",),
    ("organ", "model"),
    ("benches", "*", "tasks"),
    ("benches", "*", "quarantine"),
    ("search", "warm_start"),
    ("audit", "checkpoint_copy"),
)
"""Settings that are paths: in a config file they are relative to its folder, wherever the program is started."""


def load_settings(file: Path | None, *, seed: int | None = None, policy: Path | None = None) -> Settings:
    """Settings from a TOML file (none: defaults), the environment above it, and flags that are not None above both."""
    content: dict[str, Any] = {}
    if file is not None:
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            for path in PATHS:
                _anchor(content, path, file.parent)
        except OSError as error:
            raise UserError("a config file cannot be read", got=error.strerror, where=file) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError("a config file is not TOML", got=error, where=file) from error
    try:
        settings = Settings(**content)
    except ValidationError as error:
        raise _explain(error, file) from error
    except SettingsError as error:
        raise UserError("a setting in the environment does not parse", got=error, where="AUTOSURGEON_…") from error
    given = {name: value for name, value in {"seed": seed, "policy": policy}.items() if value is not None}
    return settings.model_copy(update=given) if given else settings


def _anchor(content: Any, path: tuple[str, ...], folder: Path) -> None:
    """Let a relative path, if there is one under these keys, begin at a folder."""
    if not isinstance(content, dict):
        return  # validation says what is wrong with it
    key, *rest = path
    for name in list(content) if key == "*" else [key]:
        if rest:
            _anchor(content.get(name), tuple(rest), folder)
        elif isinstance(content.get(name), str):
            content[name] = str(folder / content[name])
        elif isinstance(content.get(name), list):
            content[name] = [str(folder / one) if isinstance(one, str) else one for one in content[name]]


def _explain(error: ValidationError, file: Path | None) -> UserError:
    first = error.errors()[0]
    location = [str(step) for step in first["loc"]]
    name, where = ".".join(location), file or "environment"
    if first["type"] == "extra_forbidden":
        model: Any = Settings
        for step in location[:-1]:
            known = hasattr(model, "model_fields")
            model = model.model_fields[step].annotation if known else get_args(model)[1]
        return UserError(f"unknown setting {name!r}", wanted=nearest(location[-1], model.model_fields), where=where)
    # What was meant for a webhook, as a key or as the store's URL may be a secret, in whatever shape it came, and stays
    # unsaid.
    got = None if location[:1] in (["notify"], ["store"], ["serving"], ["fallback"]) else repr(first["input"])
    return UserError(f"setting {name!r}: {first['msg']}", got=got, where=where)
