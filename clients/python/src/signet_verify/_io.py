"""Requests by httpx, for threads and for asyncio: bounded in size and time, without redirects."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

from ._effects import Fetch, FetchFailed, Response

# Signet compresses with gzip only. httpx decompresses a chunk as a whole before its length can be checked: one of gzip
# becomes at most a thousand times as long, but those of other codings have no such bound.
_HEADERS: Final = {"User-Agent": "signet-verify-python", "Accept": "*/*", "Accept-Encoding": "gzip"}
_CODINGS: Final = ("", "identity", "gzip")


def _arguments(request: Fetch) -> dict[str, Any]:
    headers = _HEADERS | dict(request.headers)
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    return {
        "method": "GET" if request.body is None else "POST",
        "url": request.url,
        "headers": headers,
        "content": request.body,
        "timeout": request.deadline,
        "follow_redirects": False,
    }


class _Body:
    """A body that is read in chunks."""

    def __init__(self, request: Fetch) -> None:
        self._request = request
        self._end = time.monotonic() + request.deadline
        self.chunks = bytearray()

    def begin(self, response: httpx.Response) -> None:
        if response.headers.get("Content-Encoding", "").lower() not in _CODINGS:
            raise FetchFailed(f"{self._request.url}: the response has an unknown content coding")

    def add(self, chunk: bytes) -> None:
        self.chunks += chunk
        if len(self.chunks) > self._request.limit:
            raise FetchFailed(f"{self._request.url}: the response is too large")
        if time.monotonic() > self._end:
            raise FetchFailed(f"{self._request.url}: the response takes too long")


def _failed(request: Fetch, error: Exception) -> FetchFailed:
    return FetchFailed(f"{request.url}: {type(error).__name__}")


def fetch(client: httpx.Client, request: Fetch) -> Response:
    """Send a request, and block until its response is complete."""
    body = _Body(request)
    try:
        with client.stream(**_arguments(request)) as response:
            body.begin(response)
            for chunk in response.iter_bytes():
                body.add(chunk)
    except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
        # httpx raises RuntimeError if the client was closed.
        raise _failed(request, error) from None
    return _response(response, body)


async def fetch_async(client: httpx.AsyncClient, request: Fetch) -> Response:
    """Send a request, and wait until its response is complete."""
    body = _Body(request)
    try:
        async with client.stream(**_arguments(request)) as response:
            body.begin(response)
            async for chunk in response.aiter_bytes():
                body.add(chunk)
    except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
        raise _failed(request, error) from None
    return _response(response, body)


def _response(response: httpx.Response, body: _Body) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status_code, headers, bytes(body.chunks))
