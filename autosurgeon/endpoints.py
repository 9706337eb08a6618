"""The sections of the settings that name outside services: notifications, servers, the deployed runtime."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from autosurgeon.places import ConfigAddress, ConfigCommand, ConfigPath, SecretAddress
from autosurgeon.sections import Section


class NotifySettings(Section):
    """Notifications, as JSON documents: each pass that ends, each pause and standstill, failed deployments, the end."""

    command: ConfigCommand = ()
    """A program and its arguments, started without a shell in the workspace; reads the document from standard input.
    None when empty."""
    webhook: SecretAddress | None = None
    """An http or https address that the document is posted to; none when empty. It is never printed."""
    deadline_s: float = Field(10, gt=0, le=600)
    """Seconds after which the command is killed and the post aborted."""


class ServingSettings(Section):
    """Requests to a server with OpenAI's completions protocol."""

    concurrency: int = Field(16, ge=1, le=1024)
    """Requests at once."""
    request_s: float = Field(120, gt=0, le=86400, allow_inf_nan=False)
    """Seconds after which a request is aborted, even if part of its answer has arrived."""
    retries: int = Field(5, ge=0, le=100)
    """Retries of a request after a failed connection, a time-out, 429 or 5xx."""
    retry_s: float = Field(1, ge=0, le=60, allow_inf_nan=False)
    """Seconds before the first retry; each further one waits twice as long, 60 s at most, or as the server asks."""
    api_key: SecretStr | None = None
    """Sent as a bearer token to the address of `--url`, and to no other; best set as AUTOSURGEON_SERVING__API_KEY."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of each request, as the server expects them: `top_k`, `repetition_penalty`, `stop`."""


class FallbackSettings(Section):
    """The model that stands in for the organ in modes A and C: a folder or a server."""

    model: ConfigPath | None = None
    """Folder of its checkpoint; it generates with the settings of `[organ]`."""
    url: ConfigAddress | None = None
    """Address of a server, up to and with `/v1`; requests use the settings of `[serving]`."""
    served: str | None = None
    """Name of the model on the server; not needed if it serves only one."""
    api_key: SecretStr | None = None
    """Sent as a bearer token to `url`; best set as AUTOSURGEON_FALLBACK__API_KEY."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.model is not None and self.url is not None:
            raise ValueError("a fallback is a model or a url, not both")
        return self


class DeploySettings(Section):
    """The runtime that serves live, and the commands that retarget it.

    In an argument, `{pack}` stands for the digest to serve, `{folder}` for its folder, `{version}` for the live version
    and `{live}` for live.json; the environment has the same as `AUTOSURGEON_PACK`, `AUTOSURGEON_FOLDER`,
    `AUTOSURGEON_LIVE_VERSION` and `AUTOSURGEON_LIVE_FILE`, and `promote` or `revert` as `AUTOSURGEON_ACTION`.
    """

    promote: ConfigCommand = ()
    """A program and its arguments, started without a shell in the workspace, that makes the runtime serve a pack before
    it goes live. None when empty; a pack then goes live without a command."""
    revert: ConfigCommand = ()
    """The same for the live pack, after a revert and where the runtime serves another one; `promote` when
    empty."""
    deadline_s: float = Field(600, gt=0, le=86400)
    """Seconds after which a command is killed with its child processes, which counts as a failure."""
    url: ConfigAddress | None = Field(None, pattern=r"^https?://\S+$")
    """The runtime's OpenAI-compatible address, up to and with `/v1`: it has to answer with the pack's digest as its
    model. No check when empty."""
    answer_s: float = Field(120, gt=0, le=86400)
    """Seconds after the command within which it has to answer with that pack."""

    @model_validator(mode="after")
    def _needs_promote(self) -> Self:
        if not self.promote and (self.revert or self.url):
            raise ValueError("revert and url have no effect without promote")
        return self
