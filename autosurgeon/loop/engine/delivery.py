"""Delivering a document to the command and the webhook of `[notify]`, each with a deadline.

A failure is named by its kind alone, since an address or an argument may hold a secret.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, NamedTuple

from pydantic import SecretStr

from autosurgeon.endpoints import NotifySettings

KEPT_BYTES = 4000
CONNECT_S = 10.0
PORTS = {"http": 80, "https": 443}


class Delivery(NamedTuple):
    """The result of a delivery."""

    channel: str
    """`command` or `webhook`."""
    ok: bool
    found: str
    """The result in a word: `exit code 0`, `HTTP 200`, `deadline`."""
    output: str = ""
    """The last line of a command's output, if kept."""


def deliver(settings: NotifySettings, folder: Path, document: bytes) -> list[Delivery]:
    """Deliver a document through each configured channel in turn; return the results.

    Args:
        settings: command, webhook and deadline.
        folder: the working folder of the command.
        document: the document.

    """
    found = []
    if settings.command:
        with tempfile.TemporaryFile() as output:
            done = run_command(settings, folder, document, output)
            output.seek(max(0, output.seek(0, os.SEEK_END) - KEPT_BYTES))
            lines = output.read().decode("utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        found.append(done._replace(output="".join(char if char.isprintable() else " " for char in last)[:200]))
    if settings.webhook is not None:
        found.append(post(settings, settings.webhook, document))
    return found


def run_command(
    settings: NotifySettings, folder: Path, document: bytes, output: IO[bytes] | int = subprocess.DEVNULL
) -> Delivery:
    """Pass a document to the command's standard input; at the deadline its process group is killed."""
    try:
        process = subprocess.Popen(
            settings.command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Delivery("command", False, type(error).__name__)
    try:
        process.communicate(document, timeout=settings.deadline_s)
    except subprocess.TimeoutExpired:
        # The group of its own session.
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Delivery("command", False, "deadline")
    except OSError as error:
        process.wait()
        return Delivery("command", False, type(error).__name__)
    return Delivery("command", process.returncode == 0, f"exit code {process.returncode}")


def post(settings: NotifySettings, webhook: SecretStr, document: bytes) -> Delivery:
    """Post in a thread, since a socket's time-out restarts with every byte of a slow answer."""
    ended: list[Delivery] = []

    def ask() -> None:
        try:
            url = webhook.get_secret_value()
            if urllib.parse.urlsplit(url).scheme not in PORTS:
                raise ValueError("the webhook is no http address")
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(url, data=document, headers=headers, method="POST")
            with urllib.request.urlopen(request, timeout=settings.deadline_s) as response:
                ended.append(Delivery("webhook", True, f"HTTP {response.status}"))
        except urllib.error.HTTPError as error:
            error.close()
            ended.append(Delivery("webhook", False, f"HTTPError {error.code}"))
        except Exception as error:  # no failure of the address, the network or the server may end a run
            ended.append(Delivery("webhook", False, type(error).__name__))

    thread = threading.Thread(target=ask, daemon=True, name="autosurgeon-webhook")
    thread.start()
    thread.join(settings.deadline_s)
    return ended[0] if ended else Delivery("webhook", False, "deadline")


def check_webhook(webhook: SecretStr) -> str:
    """Whether a webhook's host, or the proxy before it, accepts a connection; nothing is posted.

    Raises:
        ValueError: the address is none; no part of it is in the message.
        OSError: the host is not known or does not answer.

    """
    try:
        parts = urllib.parse.urlsplit(webhook.get_secret_value())
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in PORTS or not host:
        raise ValueError("notify.webhook is no http or https address")
    proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme)
    if proxy is not None:
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    address = (host, port or PORTS.get(scheme, 80))
    with socket.create_connection(address, timeout=CONNECT_S):
        return "its proxy accepts a connection" if proxy is not None else "its host accepts a connection"
