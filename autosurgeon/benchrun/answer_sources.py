"""Whom a bench can be put to: a folder of weights, in a capsule, or a model that a server serves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from autosurgeon.core.answers import Answers, Reply
from autosurgeon.core.digest import digest_text
from autosurgeon.core.ports import CapsuleRunner
from autosurgeon.core.task import Task
from autosurgeon.loop.stages.generate_answers import Model, Sampling, complete
from autosurgeon.sections import OrganSettings
from autosurgeon.serving.completions import Decoding, Server, complete_at

OnProgress = Callable[[int, int], None]


class Source(Protocol):
    """A model that answers."""

    @property
    def name(self) -> str:
        """What its answers are known by: other weights, another server or other lengths are another name."""

    def answer(self, tasks: Sequence[Task], sampling: Sampling, on_progress: OnProgress) -> Answers:
        """Its replies; WorldError where the world failed, which is no task's failure."""


class FolderSource:
    """A checkpoint or a pack, answering in a capsule; `scratch` is made for that, and goes when all went well."""

    def __init__(self, capsules: CapsuleRunner, organ: OrganSettings, model: Model, scratch: Path) -> None:
        self._capsules, self._organ, self._model = capsules, organ, model
        # A capsule works in a folder of its own, where a relative path is another one.
        self._scratch = scratch.resolve()
        self.name = f"{model.folder.resolve()}, {organ.max_new_tokens} tokens"
        if organ.prompt == "chat":
            self.name += ", by chat" + (
                f", system {digest_text(organ.system_prompt)[:12]}" if organ.system_prompt else ""
            )

    def answer(self, tasks: Sequence[Task], sampling: Sampling, on_progress: OnProgress) -> Answers:
        """Replies of the organ's engine, under the model's own name."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        found = complete(self._capsules, self._organ, self._model, tasks, self._scratch, sampling, on_progress)
        # Only now: an error names the capsule's log, which is in there.
        shutil.rmtree(self._scratch, ignore_errors=True)
        replies = {
            task_id: [
                Reply(text=text, tokens=tokens, model=self._model.name)
                for text, tokens in zip(texts, found.counts[task_id], strict=True)
            ]
            for task_id, texts in found.texts.items()
        }
        return Answers(replies, found.fingerprint)


class ServedSource:
    """A model that a server serves."""

    def __init__(self, server: Server, model: str, max_new_tokens: int) -> None:
        self._server, self._model, self._max_new_tokens = server, model, max_new_tokens
        self.name = f"{model} at {server.url}, {max_new_tokens} tokens"

    def answer(self, tasks: Sequence[Task], sampling: Sampling, on_progress: OnProgress) -> Answers:
        """Replies as the server gives them, with what it reports of the model that answered."""
        decoding = Decoding(self._max_new_tokens, *sampling)
        return complete_at(self._server, self._model, tasks, decoding, on_progress)
