"""A server's answers to tasks, requested concurrently.

Answers are streamed, so that a function ends by exactly the same rule as in the capsule, and the request is closed at
that point: stop strings cannot express "the first dedent". Answers that are not streamed are read as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import httpx2
from pydantic import SecretStr

from autosurgeon.core.answers import Answers, Reply, ending
from autosurgeon.core.digest import canonical_json, digest_json, digest_text
from autosurgeon.core.task import Task
from autosurgeon.endpoints import ServingSettings
from autosurgeon.errors import AutosurgeonError, ServerError, UserError, nearest
from autosurgeon.serving.link import Link, RequestFailed
from autosurgeon.serving.reading import EventLines, ReplyReader
from autosurgeon.serving.wire import Malformed, parse_models

FORM = 1
"""The version of the requests, part of the fingerprint: raised when the same server may receive other requests."""
BYTES_PER_TOKEN = 4096
"""The limit of bytes per streamed token, with all other fields of its event."""
BYTES_AT_LEAST = 1 << 20
MOST_FAILURES_IN_A_ROW = 8
"""Failed requests without an answer between them that are a failure of the server as a whole."""
OWN_FIELDS = frozenset(
    {
        "model",
        "prompt",
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
        "n",
        "stream",
        "stream_options",
        "echo",
        "best_of",
    }
)
"""Fields of a request that `extra_body` cannot set."""

OnProgress = Callable[[int, int], None]
"""Called with the number of answers received and the total."""


class Server(NamedTuple):
    """The address of a server, with time-outs and retries."""

    url: str
    """The address including `/v1`."""
    settings: ServingSettings
    api_key: SecretStr | None = None

    def link(self) -> Link:
        """Return a new connection to the server."""
        return Link(self.settings, self.url, self.api_key)


class Decoding(NamedTuple):
    """The parameters of decoding: greedy at temperature 0."""

    max_new_tokens: int
    samples: int = 1
    temperature: float = 0.0
    seed: int = 0


def served_models(server: Server) -> list[str]:
    """Return the names of the models that a server serves, by GET `{url}/models`; a pack's name is its digest.

    Raises:
        UserError: the address is invalid.
        ServerError: the server does not answer, or its answer is not a list of models.

    """

    async def ask() -> list[str]:
        async with server.link() as link:

            async def read(response: httpx2.Response) -> list[str]:
                return parse_models(await link.whole(response, BYTES_AT_LEAST))

            try:
                return await link.ask("/models", read)
            except Malformed as error:
                raise ServerError(link.url, f"{error} (GET /models)") from error

    return asyncio.run(ask())


def choose_model(server: Server, wanted: str | None) -> str:
    """Return the wanted model, or the server's only one; UserError if there is none."""
    names = served_models(server)
    if wanted is None and len(names) == 1:
        return names[0]
    shown = [name[:80] for name in names[:10]]
    if wanted is None:
        raise UserError(
            "a server with several models or none needs a model's name",
            got=", ".join(shown) or "no model served",
            wanted="the name of one",
            where=server.url,
        )
    if wanted not in names:
        hint = nearest(wanted, shown) if shown else "a server that serves it"
        raise UserError("a server does not serve this model", got=wanted, wanted=hint, where=server.url)
    return wanted


def complete_at(
    server: Server, model: str, tasks: Sequence[Task], decoding: Decoding, on_progress: OnProgress
) -> Answers:
    """Return `decoding.samples` replies of a served model to each task.

    Raises:
        UserError: a setting cannot be sent.
        ServerError: the server answers no task, or fails for many in a row. A few tasks without a valid answer are
            `unanswered`. Neither fails a task.

    """
    check_extra_body(server.settings)
    if not tasks:
        return Answers({}, "nothing generated")
    try:
        return asyncio.run(_Batch(server, model, tasks, decoding, on_progress).all())
    except BaseExceptionGroup as group:
        # The first failure ended the other requests.
        raise next((e for e in group.exceptions if isinstance(e, AutosurgeonError)), group.exceptions[0]) from group


def check_extra_body(settings: ServingSettings) -> None:
    """Raise UserError for extra fields that are reserved, or that are not JSON."""
    owned = sorted(settings.extra_body.keys() & OWN_FIELDS)
    if owned:
        raise UserError("a reserved field of requests cannot be set", got=", ".join(owned), where="serving.extra_body")
    try:
        canonical_json(settings.extra_body)
    except (TypeError, ValueError) as error:
        raise UserError("a field of requests is not JSON", got=error, where="serving.extra_body") from error


class _Batch:
    """The requests of one call of `complete_at`."""

    def __init__(
        self, server: Server, model: str, tasks: Sequence[Task], decoding: Decoding, on_progress: OnProgress
    ) -> None:
        self._server, self._model, self._tasks, self._decoding = server, model, tasks, decoding
        self._on_progress = on_progress
        self._replies: dict[tuple[str, int], Reply] = {}
        self._unanswered: dict[str, ServerError] = {}
        self._failures_in_a_row = 0
        self._systems: set[str] = set()
        self._total = len(tasks) * decoding.samples
        self._max_bytes = BYTES_AT_LEAST + BYTES_PER_TOKEN * decoding.max_new_tokens

    async def all(self) -> Answers:
        """Return all replies, in the order of tasks and samples; a task that lacks a sample has none."""
        samples = range(self._decoding.samples)
        todo = iter([(task, sample) for task in self._tasks for sample in samples])
        async with self._server.link() as link, asyncio.TaskGroup() as group:
            for _ in range(min(self._server.settings.concurrency, self._total)):
                group.create_task(self._work(link, todo))
        if self._unanswered and not self._replies:
            raise next(iter(self._unanswered.values()))
        whole = [task.task_id for task in self._tasks if task.task_id not in self._unanswered]
        replies: dict[str, list[Reply]] = {task.task_id: [] for task in self._tasks}
        replies |= {task_id: [self._replies[task_id, sample] for sample in samples] for task_id in whole}
        return Answers(replies, self._fingerprint(), {name: str(error) for name, error in self._unanswered.items()})

    async def _work(self, link: Link, todo: Iterator[tuple[Task, int]]) -> None:
        for task, sample in todo:
            if task.task_id in self._unanswered:
                continue
            try:
                self._replies[task.task_id, sample] = await self._one(link, task, self._body(task, sample))
            except (Malformed, RequestFailed) as error:
                self._fail(link, task, error)
            else:
                self._failures_in_a_row = 0
                self._on_progress(len(self._replies), self._total)

    def _fail(self, link: Link, task: Task, error: Malformed | RequestFailed) -> None:
        """Note why a task has no answer; ServerError if the server fails for one task after another."""
        what = str(error).removeprefix(f"server {link.url}: ")
        failure = ServerError(link.url, f"{what} (task {task.task_id})")
        failure.__cause__ = error
        self._unanswered.setdefault(task.task_id, failure)
        # A server that refuses prompts at once is neither away nor burdened by the next one.
        self._failures_in_a_row += not (isinstance(error, RequestFailed) and error.is_refusal)
        if self._failures_in_a_row >= MOST_FAILURES_IN_A_ROW:
            raise failure

    async def _one(self, link: Link, task: Task, body: dict[str, Any]) -> Reply:
        async def read(response: httpx2.Response) -> Reply:
            limit = self._decoding.max_new_tokens
            reader, lines = ReplyReader(response.headers, self._model, limit, ending(task)), EventLines()
            if not reader.is_streamed:
                reader.take_whole(await link.whole(response, self._max_bytes))
            else:
                async with contextlib.aclosing(link.pieces(response, self._max_bytes)) as pieces:
                    async for piece in pieces:
                        if any(reader.take_event(data) for data in lines.feed(piece)):
                            break
            self._systems |= reader.systems
            return reader.reply()

        return await link.ask("/completions", read, body)

    def _body(self, task: Task, sample: int) -> dict[str, Any]:
        return {
            **self._server.settings.extra_body,
            "model": self._model,
            "prompt": task.prompt,
            "max_tokens": self._decoding.max_new_tokens,
            "temperature": self._decoding.temperature,
            # A server may have another default.
            "top_p": 1,
            "n": 1,
            # The seed of a sample does not depend on the order of answers.
            "seed": int(digest_text(f"{self._decoding.seed}:{task.task_id}:{sample}")[:7], 16),
            "stream": True,
            # The second option, of vLLM and SGLang, counts tokens so far, for an answer that is closed early.
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }

    def _fingerprint(self) -> str:
        """Return the digest of what an answer depends on besides weights and prompt, as the server reports it."""
        conditions = {
            "form": FORM,
            "url": self._server.url,
            "systems": sorted(self._systems),
            "extra_body": self._server.settings.extra_body,
            "max_new_tokens": self._decoding.max_new_tokens,
            "temperature": self._decoding.temperature,
        }
        return digest_json(conditions)[:16]
