"""A connection to one server: every request has a deadline, a limit of bytes, and retries after failures.

A server is untrusted: redirects are not followed, answers are neither decompressed nor read beyond their limit, and
proxies, cookies and password files of the environment are not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr

from autosurgeon.endpoints import ServingSettings
from autosurgeon.errors import ServerError, UserError

LONGEST_WAIT_S = 60.0
MAX_QUOTED_BYTES = 2048
"""The limit of bytes that are read of the text of a refusal."""
_QUOTED = 200
REFUSALS = frozenset({400, 413, 422})
"""Status codes with which a server refuses one prompt, such as one longer than its context."""

T = TypeVar("T")


class Retry(Exception):
    """A temporary failure; `after_s` is the wait that the server asks for."""

    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what)
        self.after_s = after_s


class RequestFailed(ServerError):
    """One request has no valid answer, though others may have one; `is_refusal`: the server refuses its content."""

    def __init__(self, server: str, what: str, *, is_refusal: bool = False) -> None:
        super().__init__(server, what)
        self.is_refusal = is_refusal


def address_of(url: str) -> str:
    """Return the address without a final slash; UserError if it is invalid or contains a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UserError("an address does not parse", got=error, wanted="such as http://127.0.0.1:8000/v1") from error
    if parts.username is not None or parts.password is not None:
        raise UserError("an address contains a user or password", wanted="api_key in the settings")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise UserError(
            "this is not a server's address", got=repr(url[:200]), wanted="such as http://127.0.0.1:8000/v1"
        )
    return url.rstrip("/")


class Link:
    """Requests to one address; an asynchronous context manager."""

    def __init__(self, settings: ServingSettings, url: str, api_key: SecretStr | None = None) -> None:
        self.url = address_of(url)
        self._settings = settings
        key = {"Authorization": f"Bearer {api_key.get_secret_value()}"} if api_key is not None else {}
        # Reading the system's certificates takes time, and an http address needs none: its context trusts none.
        is_tls = self.url.startswith("https:")
        trust = ssl.create_default_context() if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx2.AsyncClient(
            # No compression, because a few bytes may decompress to gigabytes.
            headers={"Accept-Encoding": "identity", **key},
            verify=trust,
            timeout=settings.request_s,
            limits=httpx2.Limits(max_connections=settings.concurrency),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(
        self, path: str, read: Callable[[httpx2.Response], Awaitable[T]], body: Mapping[str, Any] | None = None
    ) -> T:
        """Return what `read` returns for the answer to a GET, or to a POST of a body; ServerError without an answer."""
        wait_s = self._settings.retry_s
        for tries in range(1, self._settings.retries + 2):
            try:
                return await self._once(path, read, body)
            except Retry as failure:
                if tries > self._settings.retries:
                    count = f", {tries} times" if tries > 1 else ""
                    raise RequestFailed(self.url, f"{failure}{count}") from failure
                pause_s = wait_s if failure.after_s is None else failure.after_s
                await asyncio.sleep(min(pause_s, LONGEST_WAIT_S))
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        raise AssertionError("the last try returns or raises")

    async def _once(
        self, path: str, read: Callable[[httpx2.Response], Awaitable[T]], body: Mapping[str, Any] | None
    ) -> T:
        method = "GET" if body is None else "POST"
        try:
            # The time-outs of httpx2 restart with every byte of a slow answer.
            async with (
                asyncio.timeout(self._settings.request_s),
                self._client.stream(method, f"{self.url}{path}", json=body) as response,
            ):
                await self._check(response)
                return await read(response)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise Retry(f"no complete answer within {self._settings.request_s:g} s") from error
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            raise Retry(f"{type(error).__name__}: {error}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise ServerError(self.url, f"{type(error).__name__}: {error}") from error

    async def _check(self, response: httpx2.Response) -> None:
        """Raise ServerError or Retry unless the response is an answer."""
        status = response.status_code
        if response.is_redirect:
            to = repr(response.headers.get("location", "")[:_QUOTED])
            raise ServerError(self.url, f"redirects to {to}; redirects are not followed, name the address itself")
        if status != 200:
            message = f"answered {status}: {await _quoted(response)}"
            if status == 429 or status >= 500:
                raise Retry(message, _retry_after(response))
            if status in REFUSALS:
                raise RequestFailed(self.url, message, is_refusal=True)
            hint = {401: "; it wants an api_key", 403: "; it wants another api_key", 404: "; is /v1 missing?"}
            raise ServerError(self.url, f"{message}{hint.get(status, '')}")
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise ServerError(self.url, f"a compressed answer, {encoding[:20]!r}, though none was requested")

    async def pieces(self, response: httpx2.Response, max_bytes: int) -> AsyncGenerator[bytes, None]:
        """Yield the answer's bytes as they arrive; RequestFailed for more than `max_bytes`."""
        total = 0
        async for piece in response.aiter_raw():
            total += len(piece)
            if total > max_bytes:
                raise RequestFailed(self.url, f"an answer of more than {max_bytes} bytes, without an end")
            yield piece

    async def whole(self, response: httpx2.Response, max_bytes: int) -> bytes:
        """Return the whole answer; RequestFailed if it is longer than `max_bytes`."""
        return b"".join([piece async for piece in self.pieces(response, max_bytes)])


async def _quoted(response: httpx2.Response) -> str:
    """Return the start of a refusal's text."""
    text = b""
    with contextlib.suppress(httpx2.HTTPError):
        async for piece in response.aiter_raw():
            text += piece
            if len(text) >= MAX_QUOTED_BYTES:
                break
    return repr(text[:_QUOTED].decode("utf-8", "replace"))


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds of the header; its other form, a date, is ignored."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
