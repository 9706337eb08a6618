"""Sources of answers: a folder of weights in a capsule, or a model on a server."""

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
        """Identifies its answers; it differs with weights, server and lengths."""

    def answer(self, tasks: Sequence[Task], sampling: Sampling, on_progress: OnProgress) -> Answers:
        """Answer the tasks; WorldError for an external failure, which is not a task's failure."""


class FolderSource:
    """A checkpoint or a pack that answers in a capsule; the folder `scratch` is removed on success."""

    def __init__(self, capsules: CapsuleRunner, organ: OrganSettings, model: Model, scratch: Path) -> None:
        self._capsules, self._organ, self._model = capsules, organ, model
        # A capsule runs in its own folder, where a relative path would differ.
        self._scratch = scratch.resolve()
        self.name = f"{model.folder.resolve()}, {organ.max_new_tokens} tokens"
        if organ.prompt == "chat":
            self.name += ", by chat" + (
                f", system {digest_text(organ.system_prompt)[:12]}" if organ.system_prompt else ""
            )

    def answer(self, tasks: Sequence[Task], sampling: Sampling, on_progress: OnProgress) -> Answers:
        """Answer by the organ's engine, under the model's name."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        found = complete(self._capsules, self._organ, self._model, tasks, self._scratch, sampling, on_progress)
        # Only on success: an error names the capsule's log in this folder.
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
    """A model on a server."""

    def __init__(self, server: Server, model: str, max_new_tokens: int) -> None:
        self._server, self._model, self._max_new_tokens = server, model, max_new_tokens
        self.name = f"{model} at {server.url}, {max_new_tokens} tokens"

    def answer(self, tasks: Sequence[Task], sampling: Sampling, on_progress: OnProgress) -> Answers:
        """Return the server's replies, with the model's name that it reports."""
        decoding = Decoding(self._max_new_tokens, *sampling)
        return complete_at(self._server, self._model, tasks, decoding, on_progress)
