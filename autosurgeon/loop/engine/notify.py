"""Telling somebody: a command or a webhook, each with a deadline, beside the loop and never in its way."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import structlog

from autosurgeon.audit.mask import masked_record, masking_of
from autosurgeon.core.records import PassRecord
from autosurgeon.endpoints import NotifySettings
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
    """Notify the command and the webhook of the settings, beside the loop.

    It returns at once. What goes wrong is logged, by its kind alone: a URL or an argument may hold a secret.

    Args:
        ins: the instruments.
        event: what happened.
        ended: the pass that ended, if it is about one.
        reason: of the event; the pass's own when empty.
        detail: which one of a kind of reason it is.

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
        _beside(functools.partial(_run_command, ins.workspace.root), settings, document)
    if settings.webhook is not None:
        _beside(_post, settings, document)


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


def _beside(tell: Callable[[NotifySettings, bytes], None], settings: NotifySettings, document: bytes) -> None:
    # Not a daemon: the end of the run is told too, and the deadline bounds how long that may hold the program.
    threading.Thread(target=tell, args=(settings, document), name="autosurgeon-notify").start()


def _run_command(folder: Path, settings: NotifySettings, document: bytes) -> None:
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            settings.command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
        )
    except OSError as error:
        _log_failure("command", type(error).__name__)
        return
    try:
        process.communicate(document, timeout=settings.deadline_s)
    except subprocess.TimeoutExpired:
        # Its whole group, which its own session made one.
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        _log_failure("command", "deadline")
        return
    except OSError as error:
        _log_failure("command", type(error).__name__)
        process.wait()
        return
    if process.returncode != 0:
        _log_failure("command", f"exit code {process.returncode}")


def _post(settings: NotifySettings, document: bytes) -> None:
    """Post in a thread of its own, since a socket's time-out starts anew with every byte of a slow answer."""
    assert settings.webhook is not None  # asked before
    url = settings.webhook.get_secret_value()
    done = threading.Event()

    def post() -> None:
        try:
            if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
                raise ValueError("the webhook is no http address")
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(url, data=document, headers=headers, method="POST")
            with urllib.request.urlopen(request, timeout=settings.deadline_s):
                pass
        except Exception as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            _log_failure("webhook", f"{type(error).__name__} {getattr(error, 'code', '')}".strip())
        finally:
            done.set()

    threading.Thread(target=post, daemon=True, name="autosurgeon-webhook").start()
    if not done.wait(settings.deadline_s):
        _log_failure("webhook", "deadline")


def _log_failure(channel: str, why: str) -> None:
    with contextlib.suppress(Exception):
        structlog.get_logger().warning("notify_failed", channel=channel, why=why)
