"""A line to one server: every request has a deadline, a limit of bytes, and tries again where the world failed.

Whatever a server sends is a stranger's: nothing is followed, unpacked or kept beyond its limit, and no proxy, cookie
or password file of the environment takes part.
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
MOST_QUOTED_BYTES = 2048
"""Of the text that comes with a refusal."""
_QUOTED = 200

T = TypeVar("T")


class Again(Exception):
    """The world failed, and may not the next time; `after_s` is how long the server wants to be left alone."""

    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what)
        self.after_s = after_s


def address_of(url: str) -> str:
    """The address as it is asked and named; UserError for one that is none, or that holds a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UserError("an address does not parse", got=error, wanted="such as http://127.0.0.1:8000/v1") from error
    if parts.username is not None or parts.password is not None:
        raise UserError("an address holds a user or password", wanted="api_key in the settings")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or parts.query or parts.fragment:
        raise UserError("this is no server's address", got=repr(url[:200]), wanted="such as http://127.0.0.1:8000/v1")
    return url.rstrip("/")


class Link:
    """Requests to one address; an asynchronous context manager."""

    def __init__(self, settings: ServingSettings, url: str, api_key: SecretStr | None = None) -> None:
        self.url = address_of(url)
        self._settings = settings
        key = {"Authorization": f"Bearer {api_key.get_secret_value()}"} if api_key is not None else {}
        # Reading the system's certificates takes a while, and a plain address needs none: this one trusts nobody.
        is_tls = self.url.startswith("https:")
        trust = ssl.create_default_context() if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._client = httpx2.AsyncClient(
            # Nothing that would have to be unpacked, since a few bytes may unpack to gigabytes.
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
        """What `read` makes of the answer to a GET, or to a POST of a body; ServerError when there is none."""
        wait_s = self._settings.retry_s
        for tries in range(1, self._settings.retries + 2):
            try:
                return await self._once(path, read, body)
            except Again as failure:
                if tries > self._settings.retries:
                    tried = f", {tries} times" if tries > 1 else ""
                    raise ServerError(self.url, f"{failure}{tried}") from failure
                pause_s = wait_s if failure.after_s is None else failure.after_s
                await asyncio.sleep(min(pause_s, LONGEST_WAIT_S))
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        raise AssertionError("the last try returns or raises")

    async def _once(
        self, path: str, read: Callable[[httpx2.Response], Awaitable[T]], body: Mapping[str, Any] | None
    ) -> T:
        method = "GET" if body is None else "POST"
        try:
            # httpx2's own time-outs start anew with every byte of a slow answer.
            async with (
                asyncio.timeout(self._settings.request_s),
                self._client.stream(method, f"{self.url}{path}", json=body) as response,
            ):
                await self._refuse(response)
                return await read(response)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise Again(f"no whole answer within {self._settings.request_s:g} s") from error
        except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
            raise Again(f"{type(error).__name__}: {error}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise ServerError(self.url, f"{type(error).__name__}: {error}") from error

    async def _refuse(self, response: httpx2.Response) -> None:
        """Raise for whatever is no answer."""
        status = response.status_code
        if response.is_redirect:
            to = repr(response.headers.get("location", "")[:_QUOTED])
            raise ServerError(self.url, f"redirects to {to}; redirects are not followed, name the address itself")
        if status != 200:
            said = f"answered {status}: {await _quoted(response)}"
            if status == 429 or status >= 500:
                raise Again(said, _retry_after(response))
            hint = {401: "; it wants an api_key", 403: "; it wants another api_key", 404: "; is /v1 missing?"}
            raise ServerError(self.url, f"{said}{hint.get(status, '')}")
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":
            raise ServerError(self.url, f"a packed answer, {packed[:20]!r}, though none was asked for")

    async def pieces(self, response: httpx2.Response, most: int) -> AsyncGenerator[bytes, None]:
        """The answer's bytes as they come; ServerError for more of them than `most`."""
        total = 0
        async for piece in response.aiter_raw():
            total += len(piece)
            if total > most:
                raise ServerError(self.url, f"an answer of more than {most} bytes, and no end")
            yield piece

    async def whole(self, response: httpx2.Response, most: int) -> bytes:
        """The whole answer; ServerError when it is longer than `most` bytes."""
        return b"".join([piece async for piece in self.pieces(response, most)])


async def _quoted(response: httpx2.Response) -> str:
    """The first words of a refusal."""
    text = b""
    with contextlib.suppress(httpx2.HTTPError):
        async for piece in response.aiter_raw():
            text += piece
            if len(text) >= MOST_QUOTED_BYTES:
                break
    return repr(text[:_QUOTED].decode("utf-8", "replace"))


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds; the header's other form, a date, is not read."""
    told = response.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() and len(told) < 10 else None
