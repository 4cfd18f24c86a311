"""The requests of a flow to its driver.

A flow is a generator without I/O: it yields effects, and the driver sends their results back. The verifier for threads
and the one for asyncio drive the same flows, so that there is one implementation of everything that has rules.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fetch:
    """Send a request and read the response. Results in a `Response`, or raises `FetchFailed`."""

    url: str
    limit: int
    """The largest body in bytes, decompressed."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    """With a body, the request is a POST of JSON."""
    deadline: float = 10.0
    """Seconds for the whole response."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response, whose body is decompressed. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class FetchFailed(Exception):
    """There is no usable response. The message says why and contains no token."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Sleep:
    """Pause for so many seconds; zero lets others run."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LoadKeys:
    """Make sure that there is a key set. Raises ``unavailable``."""


@dataclass(frozen=True, slots=True)
class RenewKeys:
    """Fetch a key set that has expired, unless somebody else does so already. Never raises."""


@dataclass(frozen=True, slots=True)
class RefetchKeys:
    """Fetch the key set past all caches, unless it was fetched since this version. Never raises."""

    version: int


@dataclass(frozen=True, slots=True)
class AwaitFeed:
    """Wait until the follower is complete for the first time, or has had its time."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the server about a token. Results in None, or raises the reason why the token is refused."""

    token: str = field(repr=False)


Effect: TypeAlias = Fetch | Sleep | LoadKeys | RenewKeys | RefetchKeys | AwaitFeed | Ask
Flow: TypeAlias = Generator[Effect, Any, T]


def drive(flow: Flow[T], perform: Callable[[Any], Any], effect: Effect | None = None) -> T:
    """Run a flow to its end. Errors of effects are raised inside the flow. `effect` is what a begun flow waits for."""
    try:
        if effect is None:
            effect = next(flow)
        while True:
            try:
                result = perform(effect)
            except Exception as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value


async def drive_async(flow: Flow[T], perform: Callable[[Any], Awaitable[Any]]) -> T:
    """Run a flow to its end, with effects that are awaited."""
    try:
        effect = next(flow)
        while True:
            try:
                result = await perform(effect)
            except Exception as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
