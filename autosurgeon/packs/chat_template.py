"""The chat template of a checkpoint, and whether the organ is asked by it."""

from __future__ import annotations

from pathlib import Path

from autosurgeon.errors import UserError
from autosurgeon.packs.checkpoint import read_mapping
from autosurgeon.sections import OrganSettings


def chat_template_of(folder: Path) -> str | None:
    """Return the chat template of a checkpoint: its own file, or its tokenizer's, of several the default one."""
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    template = read_mapping(config).get("chat_template") if config.is_file() else None
    if isinstance(template, list):
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    return template if isinstance(template, str) and template else None


def with_prompt(organ: OrganSettings, folder: Path) -> OrganSettings:
    """Return the settings with the prompt that a checkpoint gets; UserError for a chat without a chat template."""
    if organ.prompt == "completion":
        return organ
    has_template = chat_template_of(folder) is not None
    if organ.prompt == "chat" and not has_template:
        raise UserError(
            "a checkpoint has no chat template",
            got='organ.prompt = "chat"',
            wanted='organ.prompt = "completion", or chat_template.jinja of the instruct model',
            where=folder,
        )
    return organ.model_copy(update={"prompt": "chat" if has_template else "completion"})
