"""The revocations in force, as the feed names them: by truncated hashes, each until a time. Knows nothing of frames."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Final

#: Bytes of the SHA-256 of an id.
HASH_LENGTH: Final = 12

#: Seconds for which an entry is kept after its ``until``, in case the clock of this machine is set back.
KEEP: Final = 120

#: Milliseconds subtracted from the beginning of a token that its session does not date, before it is compared with the
#: time at which the older tokens of its user were revoked: the clocks of two nodes may differ by so much.
CLOCK_SKEW_MS: Final = 120_000


def hash_id(text: str) -> bytes:
    """The hash under which the feed names this id."""
    return hashlib.sha256(text.encode()).digest()[:HASH_LENGTH]


class TokenIds:
    """The parts of a token that the feed can name, hashed once."""

    __slots__ = ("began", "ids", "sub", "sub_began")

    def __init__(self, ids: tuple[bytes, ...], sub: bytes, began: int, *, dated_by_session: bool) -> None:
        self.ids = ids
        """Hashes of ``sid``, ``jti``, ``client_id`` and ``kid``."""
        self.sub = sub
        self.began = began
        """Milliseconds since 1970."""
        self.sub_began = began if dated_by_session else began - CLOCK_SKEW_MS


class Revocations:
    """The set of revocations. One thread changes it; any number of threads read it at the same time."""

    def __init__(self) -> None:
        self.version = 0
        """Changes with every change that can revoke a token."""
        self.not_before = 0
        """Milliseconds since 1970: every token that began before this is revoked."""
        self._ids: dict[bytes, int] = {}
        self._subs: dict[bytes, tuple[int, int]] = {}
        # Hashes by the minute in which their entry ends, so that no sweep visits all entries.
        self._ending: defaultdict[int, list[bytes]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._ids) + len(self._subs)

    def add_id(self, digest: bytes, until: int) -> None:
        """Revoke the tokens with this id until a time in seconds since 1970."""
        known = self._ids.get(digest)
        if known is None or until > known:
            self._ids[digest] = until
            self._ending[until // 60].append(digest)
            self.version += known is None

    def add_sub(self, digest: bytes, before: int, until: int) -> None:
        """Revoke the tokens of this subject that began at ``before``, in milliseconds since 1970, or earlier."""
        known_before, known_until = self._subs.get(digest, (-1, -1))
        if before > known_before or until > known_until:
            self._subs[digest] = (max(before, known_before), max(until, known_until))
            if until > known_until:
                self._ending[until // 60].append(digest)
            self.version += before > known_before

    def raise_not_before(self, not_before: int) -> None:
        """Revoke all tokens that began before this time in milliseconds since 1970."""
        if not_before > self.not_before:
            self.not_before = not_before
            self.version += 1

    def has_id(self, digest: bytes) -> bool:
        """True if this id is revoked."""
        return digest in self._ids

    def covers(self, token: TokenIds) -> bool:
        """True if a token is revoked."""
        if token.began < self.not_before:
            return True
        ids = self._ids
        for digest in token.ids:
            if digest in ids:
                return True
        entry = self._subs.get(token.sub)
        return entry is not None and token.sub_began <= entry[0]

    def sweep(self, now: float) -> None:
        """Drop the entries that have ended."""
        ended = int(now) - KEEP
        for minute in [minute for minute in self._ending if minute * 60 + 59 < ended]:
            for digest in self._ending.pop(minute):
                # The entry may have been extended: then it is listed under a later minute too.
                if self._ids.get(digest, ended) < ended:
                    del self._ids[digest]
                if self._subs.get(digest, (0, ended))[1] < ended:
                    del self._subs[digest]
