"""Notifications: a command or a webhook gets a document for each event, without delaying the loop."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import structlog

from autosurgeon.audit.mask import masked_record, masking_of
from autosurgeon.core.records import PassRecord
from autosurgeon.endpoints import NotifySettings
from autosurgeon.loop.engine.delivery import Delivery, deliver, post, run_command
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.store.database import utc_now

Event = Literal["pass", "paused", "stuck", "deploy", "end"]


def notify(
    ins: Instruments,
    event: Event,
    ended: PassRecord | None = None,
    reason: str | None = None,
    detail: str | None = None,
) -> None:
    """Notify the command and the webhook of the settings, in threads.

    Failures are logged by their kind alone, since a URL or an argument may hold a secret.

    Args:
        ins: the instruments.
        event: the event.
        ended: the pass that ended, if any.
        reason: the reason of the event; the pass's own when empty.
        detail: the detail of the reason.

    """
    settings = ins.settings.notify
    if not settings.command and settings.webhook is None:
        return
    try:
        document = _document(ins, event, ended, reason, detail)
    except Exception as error:
        _log_failure("document", type(error).__name__)
        return
    if settings.command:
        _beside(functools.partial(run_command, settings, ins.workspace.root, document))
    if settings.webhook is not None:
        _beside(functools.partial(post, settings, settings.webhook, document))


def send_test(settings: NotifySettings, root: Path) -> list[Delivery]:
    """Send a document that is marked as a test through each configured channel, and wait for the results.

    Args:
        settings: the settings of `[notify]`.
        root: the workspace's folder, in which the command runs; the current one where it does not exist yet.

    """
    content: dict[str, Any] = {
        "event": "test",
        "test": True,
        "at": utc_now(),
        "workspace": root.resolve().name,
        "pass": None,
        "state": None,
        "verdict": None,
        "reason": "a test of [notify]; nothing has happened",
        "detail": None,
        "live_version": None,
    }
    return deliver(settings, root if root.is_dir() else Path.cwd(), json.dumps(content).encode())


def _document(
    ins: Instruments, event: Event, ended: PassRecord | None, reason: str | None, detail: str | None
) -> bytes:
    live = ins.store.live()
    content: dict[str, Any] = {
        "event": event,
        "at": utc_now(),
        "workspace": ins.workspace.root.name,
        "pass": ended.number if ended else None,
        "state": ended.state.value if ended else None,
        "verdict": ended.verdict if ended else None,
        "reason": reason if reason is not None or ended is None else ended.reason,
        "detail": detail,
        "live_version": live.version if live else None,
    }
    masking = masking_of(ins.workspace, ins.settings.audit.mask)
    masking = masking.knowing(ins.store.decisions(ended.number) if ended else ())
    return json.dumps(masked_record(content, masking)).encode()


def _beside(send: Callable[[], Delivery]) -> None:
    def send_and_log() -> None:
        ended = send()
        if not ended.ok:
            _log_failure(ended.channel, ended.found)

    # Not a daemon, since the end of the run is sent too; the deadline limits the delay.
    threading.Thread(target=send_and_log, name="autosurgeon-notify").start()


def _log_failure(channel: str, why: str) -> None:
    with contextlib.suppress(Exception):
        structlog.get_logger().warning("notify_failed", channel=channel, why=why)
