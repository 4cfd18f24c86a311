"""Settings of a verifier, checked when it is made."""

from __future__ import annotations

import ipaddress
import re
import time
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypedDict, get_args
from urllib.parse import urlsplit

FeedMode = Literal["live", "poll", "off"]
WhenStale = Literal["allow", "refuse", "ask"]

#: The name of a follower in reports.
_FOLLOWER_NAME: Final = re.compile(r"[A-Za-z0-9._:/@-]{1,100}")

#: An API key: characters that the value of a header field can have.
_API_KEY: Final = re.compile(r"[\x21-\x7e]+")


class CommonOptions(TypedDict, total=False):
    """The keyword arguments that both verifiers have. `Options` has their meanings and defaults."""

    leeway: float
    feed: FeedMode
    max_staleness: float
    when_stale: WhenStale
    cache_size: int
    timeout: float
    start_timeout: float
    report_as: str | None
    report_key: str | None
    clock: Clock | None


class VerifierOptions(CommonOptions, total=False):
    """The arguments of a verifier, for integrations that pass them on. ``issuer`` and ``audience`` are required."""

    issuer: str
    audience: str


class Clock(Protocol):
    """The two clocks that a verifier reads. Tests pass their own."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment. Never set back."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some moment. Processes of one machine share it, so it survives a fork."""
        return time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of a verifier."""

    issuer: str
    """``iss`` of the tokens, and where the metadata is: `https`, or `http` on this machine."""
    audience: str
    """The audience that ``aud`` of the tokens must contain."""
    leeway: float = 5.0
    """Seconds by which ``exp`` and ``nbf`` may be missed."""
    feed: FeedMode = "live"
    """The way to follow the revocation feed: ``live`` (long poll), ``poll`` (cacheable, every second) or ``off``."""
    max_staleness: float = 10.0
    """Seconds after which a feed without news counts as stale."""
    when_stale: WhenStale = "refuse"
    """The result for valid tokens while the feed is stale."""
    cache_size: int = 10_000
    """The number of verified tokens that are remembered, in 16 MiB of text at most."""
    timeout: float = 5.0
    """Seconds for a request to the server."""
    start_timeout: float = 5.0
    """Seconds for which the first verifications wait for the feed."""
    report_as: str | None = None
    """The name under which to report once a minute what was read of the feed: one of this process alone."""
    report_key: str | None = field(default=None, repr=False)
    """The API key for reports, with the scope ``feed:report``."""
    clock: Clock = field(default_factory=SystemClock, repr=False)
    """The clocks."""

    @classmethod
    def of(cls, issuer: str, audience: str, given: CommonOptions) -> Options:
        """The settings that a verifier was given. An option with None has its default."""
        present: Any = {name: value for name, value in given.items() if value is not None}
        return cls(issuer=issuer, audience=audience, **present)

    def __post_init__(self) -> None:
        check_url("issuer", self.issuer)
        parts = urlsplit(self.issuer)
        if parts.query or parts.fragment:
            raise ValueError("issuer must not have a query or a fragment")
        if not isinstance(self.audience, str) or not self.audience:
            raise ValueError("audience is required")
        if self.feed not in get_args(FeedMode):
            raise ValueError("feed must be 'live', 'poll' or 'off'")
        if self.when_stale not in get_args(WhenStale):
            raise ValueError("when_stale must be 'allow', 'refuse' or 'ask'")
        for name, value in (("leeway", self.leeway), ("start_timeout", self.start_timeout)):
            if value < 0:
                raise ValueError(f"{name} must not be negative")
        for name, value in (("max_staleness", self.max_staleness), ("timeout", self.timeout)):
            if value <= 0:
                raise ValueError(f"{name} must be positive")
        if self.cache_size < 0:
            raise ValueError("cache_size must not be negative")
        if (self.report_as is None) != (self.report_key is None):
            raise ValueError("report_as and report_key must be given together")
        if self.report_as is not None and not _FOLLOWER_NAME.fullmatch(self.report_as):
            raise ValueError("report_as must be 1 to 100 letters, digits and ._:/@-")
        if self.report_key is not None and not _API_KEY.fullmatch(self.report_key):
            raise ValueError("report_key must be an API key")


def check_url(name: str, url: object) -> str:
    """Check that a URL is one of https, or of this machine."""
    if not isinstance(url, str):
        raise ValueError(f"{name} must be a URL")  # noqa: TRY004 - a setting with a bad value, whatever its type
    parts = urlsplit(url)
    host = parts.hostname
    if host is None or parts.username is not None or parts.password is not None:
        raise ValueError(f"{name} must be a URL with a host and without credentials")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise ValueError(f"{name} must be an https URL, unless the host is this machine")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
