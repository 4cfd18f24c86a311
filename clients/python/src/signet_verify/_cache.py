"""A bounded cache of verified tokens: the least recently used one is dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from ._token import Verified

#: The largest number of characters of all cached tokens together. Tokens issued from an API key are as large as the
#: scopes that its owner gave it, so a number of tokens alone would not bound the memory.
MAX_LENGTH: Final = 16 * 1024 * 1024


class TokenCache:
    """A cache of verified tokens. Threads may use it at the same time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, Verified] = OrderedDict()
        self._length = 0
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
            if token not in self._entries:
                self._length += len(token)
            self._entries[token] = entry
            self._entries.move_to_end(token)
            while len(self._entries) > self._size or self._length > MAX_LENGTH:
                oldest, _ = self._entries.popitem(last=False)
                self._length -= len(oldest)

    def drop(self, token: str) -> None:
        """Forget a token."""
        with self._lock:
            if self._entries.pop(token, None) is not None:
                self._length -= len(token)
