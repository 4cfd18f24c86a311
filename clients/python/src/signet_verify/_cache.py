"""A bounded cache of verified tokens: the least recently used one is dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict

from ._token import Verified


class TokenCache:
    """A cache of verified tokens. Threads may use it at the same time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, Verified] = OrderedDict()
        self.renew_lock()

    def renew_lock(self) -> None:
        """Replace the lock, which a thread that a fork did not copy may hold."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str) -> Verified | None:
        """The entry of this token."""
        with self._lock:
            entry = self._entries.get(token)
            if entry is not None:
                self._entries.move_to_end(token)
            return entry

    def put(self, token: str, entry: Verified) -> None:
        """Remember a token."""
        with self._lock:
            self._entries[token] = entry
            self._entries.move_to_end(token)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def drop(self, token: str) -> None:
        """Forget a token."""
        with self._lock:
            self._entries.pop(token, None)
