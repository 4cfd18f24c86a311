"""Reports to Signet what was read of the feed, so that its operator sees which followers lag.

A report that fails is lost: nothing that is verified depends on it. No I/O.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Final

from ._effects import Fetch, FetchFailed, Flow, Response, Sleep
from ._state import State, logger

#: Seconds between two reports, and how much of it is random.
INTERVAL: Final = 60.0
JITTER: Final = 5.0

#: After other keys were read, the next report follows within so many seconds: a command may wait for it.
MAX_DELAY: Final = 3.0

#: Seconds between two looks at the state.
TICK: Final = 1.0

#: The largest response, which is an error.
_MAX_RESPONSE: Final = 64 * 1024


class Reporter:
    """The reporter of one verifier."""

    def __init__(self, state: State, *, rng: Callable[[], float] = random.random) -> None:
        self._state = state
        self._rng = rng
        self._due = float("-inf")
        self._digest: bytes | None = None
        self._failed = False

    def run(self) -> Flow[None]:
        """Report for as long as the verifier is open."""
        while True:
            body = self._due_report()
            if body is not None:
                try:
                    yield from self._send(body)
                    self._failed = False
                except FetchFailed as error:
                    level = logger.debug if self._failed else logger.warning
                    level("cannot report what was read of the revocation feed: %s", error)
                    self._failed = True
            yield Sleep(TICK)

    def _due_report(self) -> bytes | None:
        state, now = self._state, self._state.clock.monotonic()
        keys = state.keys
        if keys is None or state.position is None or state.freshness.never_complete:
            return None
        if keys.digest != self._digest:
            self._digest = keys.digest
            self._due = min(self._due, now + self._rng() * MAX_DELAY)
        if now < self._due:
            return None
        self._due = now + INTERVAL - self._rng() * JITTER
        report = {
            "name": state.options.report_as,
            "epoch": state.epoch,
            "position": state.position,
            "time": int(state.freshness.latest),
            "jwks": base64.urlsafe_b64encode(keys.digest).decode(),
        }
        return json.dumps(report).encode()

    def _send(self, body: bytes) -> Flow[None]:
        options, metadata = self._state.options, self._state.metadata
        if metadata is None or metadata.feed is None:
            return
        headers = {"Authorization": f"Bearer {options.report_key}"}
        response: Response = yield Fetch(
            f"{metadata.feed}/followers", _MAX_RESPONSE, headers, body=body, deadline=options.timeout
        )
        if response.status != 204:
            raise FetchFailed(f"status {response.status}")
