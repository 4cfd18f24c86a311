"""Everything a verifier knows, and the flows that verify tokens and keep the key set. No I/O, no threads.

One flow at a time changes the key set (the drivers see to that), and one, the follower, the revocations.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ._cache import TokenCache
from ._effects import Ask, AwaitFeed, Fetch, FetchFailed, Flow, LoadKeys, RefetchKeys, RenewKeys, Response
from ._freshness import Freshness
from ._jose import KeySet, Malformed
from ._metadata import MAX_DOCUMENT, Metadata, discover, key_ages
from ._revocations import Revocations
from ._token import UnknownKey, Verified, verify_token
from .claims import Claims, Subject
from .errors import VerifyError
from .options import Options

logger = logging.getLogger("signet_verify")

#: Seconds between two attempts to get the key set.
KEY_INTERVAL: Final = 1.0

#: Seconds for which an unknown ``kid`` causes no fetch after one that did not help.
UNKNOWN_KEY_COOLDOWN: Final = 10.0

#: The number of positions that a follower remembers.
REMEMBERED_POSITIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a verifier, for health checks and metrics."""

    feed: Literal["live", "poll", "off", "absent"]
    """The way the revocations are followed; ``absent`` if the server has no feed."""
    ready: bool
    """True if tokens can be verified: there are keys, and the feed, if it is followed, is not stale."""
    staleness: float | None
    """Seconds since the revocations were complete; None if they never were, or are not followed."""
    revocations: int
    """The number of entries in force."""
    keys: int
    error: str | None
    """The last error of the feed or the key set; None once they have been read again."""


class State:
    """The keys, the revocations and the cache of a verifier."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = options.clock
        self.cache = TokenCache(options.cache_size)
        self.revocations = Revocations()
        self.freshness = Freshness()
        self.metadata: Metadata | None = None
        self.error: str | None = None

        self.keys: KeySet | None = None
        self.keys_version = 0
        """Counts how often the key set was fetched."""
        self._keys_read = False
        """True if the last attempt to fetch the key set has succeeded."""
        self._keys_age = 0.0
        self._keys_stale_age = 0.0
        self._keys_expire = 0.0
        self._next_load = self._next_refetch = self._unknown_key_until = float("-inf")

        self.follows = options.feed != "off"
        self.feed_absent = False
        self.epoch: str | None = None
        self.position: str | None = None
        self.reached: deque[str] = deque(maxlen=REMEMBERED_POSITIONS)

    # Verification

    def verification(self, token: str, scopes: Iterable[str], subject: Subject | None) -> Flow[Claims]:
        """Verify a token completely."""
        keys = self.keys
        if keys is None or self.clock.monotonic() >= self._keys_expire:
            keys = yield from self._current_keys(keys)
        entry = self.cache.get(token)
        if entry is not None and not _has_key(entry, keys):
            self.cache.drop(token)
            entry = None
        if entry is None:
            entry = yield from self._verify(token, keys)
            entry.check_time(self.clock.now(), self.options.leeway)
            self.cache.put(token, entry)
        else:
            entry.check_time(self.clock.now(), self.options.leeway)
        if self.follows:
            yield from self._check_revocation(token, entry)
        entry.claims.require(scopes=scopes, subject=subject)
        return entry.claims

    def _current_keys(self, keys: KeySet | None) -> Flow[KeySet]:
        yield LoadKeys() if keys is None else RenewKeys()
        return self.usable_keys()

    def usable_keys(self) -> KeySet:
        """The key set, unless it is too old."""
        keys = self.keys
        if keys is None or self.clock.monotonic() >= self._keys_expire + self._keys_stale_age:
            raise VerifyError("unavailable")
        return keys

    def _verify(self, token: str, keys: KeySet) -> Flow[Verified]:
        issuer, audience = self.options.issuer, self.options.audience
        version = self.keys_version
        try:
            return verify_token(token, keys, issuer=issuer, audience=audience)
        except UnknownKey:
            if self.clock.monotonic() < self._unknown_key_until:
                raise self._unknown_key() from None
        yield RefetchKeys(version)
        try:
            return verify_token(token, self.usable_keys(), issuer=issuer, audience=audience)
        except UnknownKey:
            self._unknown_key_until = self.clock.monotonic() + UNKNOWN_KEY_COOLDOWN
            raise self._unknown_key() from None

    def _unknown_key(self) -> VerifyError:
        # A key set that could not be fetched may have the key, and the token be valid.
        return UnknownKey() if self._keys_read else VerifyError("unavailable")

    def _check_revocation(self, token: str, entry: Verified) -> Flow[None]:
        if self.freshness.never_complete and self.options.when_stale != "ask":
            yield AwaitFeed()
        revocations = self.revocations
        # Before the revocations are looked at: a frame that arrives in between would make the state look complete.
        is_stale = self.staleness() > self.options.max_staleness
        version = revocations.version
        if entry.revocations_version != version:
            if revocations.covers(entry.ids):
                raise VerifyError("revoked")
            entry.revocations_version = version
        if is_stale:
            if self.options.when_stale == "refuse":
                raise VerifyError("stale")
            if self.options.when_stale == "ask":
                yield Ask(token)

    def staleness(self) -> float:
        """Seconds since the revocations were complete."""
        return self.freshness.staleness(self.clock.monotonic() * 1000, self.clock.now() * 1000) / 1000

    # The key set

    def loading(self) -> Flow[None]:
        """Discover the server and fetch its key set, unless there is one that has not expired."""
        now = self.clock.monotonic()
        if self.keys is not None and now < self._keys_expire:
            return
        if now < self._next_load:
            self.usable_keys()
            return
        self._next_load = now + KEY_INTERVAL
        try:
            if self.metadata is None:
                self.metadata = yield from discover(self.options.issuer, self.options.timeout)
            yield from self._fetch_keys(self.metadata.jwks_uri, {})
        except FetchFailed as error:
            self.record_error(f"the keys cannot be fetched: {error}")
            # From the end of the attempt, so that those who waited for it do not repeat it one after the other.
            now = self.clock.monotonic()
            self._next_load = now + KEY_INTERVAL
            self.usable_keys()
            # While the old keys may be used, one verification in a while tries again.
            self._next_load = now + UNKNOWN_KEY_COOLDOWN

    def refetching(self, version: int) -> Flow[None]:
        """Fetch the key set past all caches, unless it was fetched since `version` or a moment ago."""
        now = self.clock.monotonic()
        if self.metadata is None or self.keys_version != version or now < self._next_refetch:
            return
        self._next_refetch = now + KEY_INTERVAL
        try:
            yield from self._fetch_keys(self.metadata.jwks_uri, {"Cache-Control": "no-cache"})
        except FetchFailed as error:
            self.record_error(f"the keys cannot be fetched: {error}")
            # As in `loading`.
            self._next_refetch = self.clock.monotonic() + KEY_INTERVAL

    def _fetch_keys(self, url: str, headers: dict[str, str]) -> Flow[None]:
        # Until the end, so that an attempt whose caller gives up counts as failed.
        self._keys_read = False
        response: Response = yield Fetch(url, MAX_DOCUMENT, headers, deadline=self.options.timeout)
        if response.status != 200:
            raise FetchFailed(f"the key set has status {response.status}")
        try:
            keys = KeySet.parse(response.body)
        except Malformed as error:
            raise FetchFailed(str(error)) from None
        self._keys_age, self._keys_stale_age = key_ages(response.headers)
        self.confirm_keys()
        # Tokens in the cache are compared with a new key set, so an equal one does not replace the old.
        if self.keys is None or self.keys.digest != keys.digest:
            self.keys = keys
            self._unknown_key_until = float("-inf")
        self.keys_version += 1
        self._keys_read = True
        if not self.follows:
            self.record_success()

    def confirm_keys(self) -> None:
        """Note that the key set is the server's at this moment."""
        self._keys_expire = self.clock.monotonic() + self._keys_age

    # Errors

    def record_error(self, message: str) -> None:
        """Record an error, and log it: as a warning if there was none before."""
        logger.log(logging.WARNING if self.error is None else logging.DEBUG, "%s", message)
        self.error = message

    def record_success(self) -> None:
        """Record that there is no error any more."""
        if self.error is not None:
            logger.info("the server can be reached again")
            self.error = None

    def health(self) -> Health:
        """The state, for health checks and metrics."""
        staleness = self.staleness() if self.follows else None
        try:
            keys = len(self.usable_keys())
        except VerifyError:
            keys = 0
        return Health(
            feed="absent" if self.feed_absent else self.options.feed,
            ready=keys > 0 and (staleness is None or staleness <= self.options.max_staleness),
            staleness=None if staleness == float("inf") else staleness,
            revocations=len(self.revocations),
            keys=keys,
            error=self.error,
        )


def _has_key(entry: Verified, keys: KeySet) -> bool:
    if entry.key_set is not keys:
        if keys.get(entry.key.kid) != entry.key:
            return False
        entry.key_set = keys
    return True
