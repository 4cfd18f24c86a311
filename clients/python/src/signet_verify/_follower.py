"""Follows the revocation feed: the flow that one thread or task drives for as long as the verifier is open.

The rules are those of docs/revocation-feed.md of Signet. No I/O.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Final

from ._effects import Fetch, FetchFailed, Flow, LoadKeys, RefetchKeys, Response, Sleep
from ._frame import MAX_FRAME, Frame, FrameError, UnknownFrameKey, open_frame
from ._metadata import discover
from ._state import State
from .errors import VerifyError

#: The largest snapshot.
MAX_SNAPSHOT: Final = 256 * 1024 * 1024

#: The largest response of the live feed, and the largest segment: some frames.
MAX_RESPONSE: Final = 64 * MAX_FRAME

#: Seconds for a snapshot, which may be large.
SNAPSHOT_DEADLINE: Final = 120.0

#: Seconds between two requests of the head.
POLL_INTERVAL: Final = 1.0

#: A server that does not wait before it says that there is nothing new is asked at most this often, in seconds.
MIN_INTERVAL: Final = 0.1

#: Pauses after errors, in seconds: the first one, and the longest.
FIRST_PAUSE: Final = 0.1
MAX_PAUSE: Final = 2.0
MAX_RETRY_AFTER: Final = 30.0

#: Seconds between two sweeps of entries that have ended.
SWEEP_INTERVAL: Final = 10.0


class Follower:
    """The follower of one verifier."""

    def __init__(self, state: State, *, rng: Callable[[], float] = random.random) -> None:
        self._state = state
        self._clock = state.clock
        self._rng = rng
        self._needs_snapshot = state.position is None
        # Snapshots since the feed last continued. A feed that never continues is not asked in a loop.
        self._snapshots = 0
        self._next_sweep = float("-inf")
        self._received = 0.0
        self._complaint: str | None = None

    def run(self) -> Flow[None]:
        """Follow the feed. Never ends."""
        failures = 0
        while True:
            self._complaint = None
            try:
                yield LoadKeys()
                yield from self._find_feed()
                yield from self._step()
            except (FetchFailed, FrameError, VerifyError) as error:
                # A `VerifyError` means that there are no keys, and `State` has recorded the reason.
                if not isinstance(error, VerifyError):
                    self._state.record_error(str(error))
                failures += 1
                retry_after = error.retry_after if isinstance(error, FetchFailed) else 0.0
                yield Sleep(max(self._pause(failures), min(retry_after, MAX_RETRY_AFTER)))
            else:
                failures = 0
                if self._complaint is None:
                    self._state.record_success()
                else:
                    self._state.record_error(self._complaint)
            self._sweep()

    def _find_feed(self) -> Flow[None]:
        """Read the metadata again while it names no feed: somebody may turn the feed on, or a newer node may answer."""
        state = self._state
        if self._feed is None:
            state.metadata = yield from discover(state.options.issuer, state.options.timeout)
        state.feed_absent = self._feed is None
        if state.feed_absent:
            raise FetchFailed("the server has no revocation feed")

    @property
    def _feed(self) -> str | None:
        return None if self._state.metadata is None else self._state.metadata.feed

    def _pause(self, failures: int) -> float:
        longest = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), MAX_PAUSE)
        return longest * (0.5 + self._rng() / 2)

    def _sweep(self) -> None:
        freshness = self._state.freshness
        if not freshness.never_complete and self._clock.monotonic() >= self._next_sweep:
            self._next_sweep = self._clock.monotonic() + SWEEP_INTERVAL
            # By the earlier of two clocks: one that is ahead for a while must not drop what is missing afterwards.
            self._state.revocations.sweep(min(self._clock.now(), freshness.latest / 1000))

    def _step(self) -> Flow[None]:
        if self._needs_snapshot:
            if self._snapshots > 0:
                yield Sleep(self._pause(self._snapshots))
            yield from self._snapshot()
            self._snapshots += 1
            self._needs_snapshot = False
            # A cached snapshot may be ten seconds old. The head is at most one, and comes at once if nothing is new.
            yield from self._follow_head()
        elif self._state.options.feed == "poll":
            yield from self._poll()
        else:
            yield from self._live()

    # The documents

    def _snapshot(self) -> Flow[None]:
        headers = {"Cache-Control": "no-cache"} if self._snapshots > 0 else {}
        response = yield from self._get("/snapshot", headers, limit=MAX_SNAPSHOT, deadline=SNAPSHOT_DEADLINE)
        if response is None:
            raise FrameError("there is no snapshot")
        frames = yield from self._accept(response, is_snapshot=True)
        if not frames:
            raise FrameError("the snapshot is empty")
        first = frames[0]
        versions = {(frame.origin, frame.epoch, frame.to, frame.time, frame.parts) for frame in frames}
        if first.origin is not None or len(versions) > 1 or len(frames) != first.parts:
            raise FrameError("the snapshot is incomplete")
        state = self._state
        if state.epoch != first.epoch:
            state.reached.clear()
        state.epoch = first.epoch
        self._reach(first.to)

    def _live(self) -> Flow[None]:
        state, began = self._state, self._clock.monotonic()
        before = state.position
        yield from self._after()
        if not self._needs_snapshot and state.position == before:
            yield Sleep(max(0.0, began + MIN_INTERVAL - self._clock.monotonic()))

    def _after(self) -> Flow[None]:
        state = self._state
        response = yield from self._get(f"/{state.epoch}/after/{state.position}")
        if response is None:
            return
        frames = yield from self._accept(response)
        continued = False
        for frame in frames:
            if frame.epoch == state.epoch and frame.origin == state.position:
                self._reach(frame.to)
            continued = frame.epoch == state.epoch and frame.to == state.position and frame.is_current
        # Only the last frame says what was revoked up to now.
        if continued:
            self._complete(frames[-1])
        if self._other_epoch(frames):
            return
        if not continued:
            raise FrameError("the feed does not continue where it ended")
        self._snapshots = 0

    def _poll(self) -> Flow[None]:
        began = self._clock.monotonic()
        yield from self._follow_head()
        if not self._needs_snapshot:
            yield Sleep(max(0.0, began + POLL_INTERVAL - self._clock.monotonic()))

    def _follow_head(self) -> Flow[None]:
        state = self._state
        response = yield from self._get("")
        if response is None:
            return
        frames = yield from self._accept(response)
        if len(frames) != 1:
            raise FrameError("the head is not one frame")
        head, received = frames[0], self._received
        if self._other_epoch(frames):
            return
        if not head.is_current:
            raise FrameError("the frame is not the head")
        if head.to != state.position:
            reached = set(state.reached)
            known = [at for at, position in enumerate(head.segments) if position in reached]
            if not known or head.segments[-1] != head.to:
                yield from self._after()
                return
            if not (yield from self._segments(head.segments[known[-1] :])):
                yield from self._after()
                return
        self._complete(head, received)
        self._snapshots = 0

    def _segments(self, positions: tuple[str, ...]) -> Flow[bool]:
        """Read what was revoked from the first of these positions, which was reached, to the last.

        False if the server does not have a segment any more.
        """
        for origin, to in itertools.pairwise(positions):
            response = yield from self._get(f"/{self._state.epoch}/segments/{origin}/{to}")
            if response is None:
                self._needs_snapshot = False
                return False
            at = origin
            for frame in (yield from self._accept(response)):
                if frame.epoch == self._state.epoch and frame.origin == at:
                    at = frame.to
            if at != to:
                raise FrameError("a segment is incomplete")
            self._reach(to)
        return True

    # Requests and frames

    def _get(
        self, path: str, headers: dict[str, str] | None = None, *, limit: int = MAX_RESPONSE, deadline: float = 0.0
    ) -> Flow[Response | None]:
        """Request a document of the feed. None if the server does not have this epoch or position any more."""
        # The server holds a request of the live feed for a second.
        deadline = deadline or self._state.options.timeout + 1.0
        response: Response = yield Fetch(f"{self._feed}{path}", limit, headers or {}, deadline=deadline)
        match response.status:
            case 200:
                return response
            case 410:
                self._needs_snapshot = True
                return None
            case 404:
                # Or, while a fleet is upgraded, the node is of a version without it.
                raise FetchFailed("the revocation feed is turned off")
            case status:
                raise FetchFailed(f"the revocation feed has status {status}", _retry_after(response))

    def _accept(self, response: Response, *, is_snapshot: bool = False) -> Flow[list[Frame]]:
        """Apply the entries of the frames of a response. Returns them, or raises at the first that is discarded.

        The frames before that one were good, but a follower that continued from them would hide the error. Those after
        it are not looked at: a relay could send millions.
        """
        self._received = self._clock.monotonic() * 1000
        frames: list[Frame] = []
        for line in _lines(response.body):
            frame = yield from self._open(line)
            yield from self._apply(frame)
            frames.append(frame)
            # Not only at the end: a relay could repeat a part as often as a response has space for it.
            if is_snapshot and frame.part != len(frames):
                raise FrameError("the snapshot is incomplete")
            # Entries take milliseconds per frame: others may run in between.
            yield Sleep(0)
        return frames

    def _open(self, line: bytes) -> Flow[Frame]:
        state, issuer = self._state, self._state.options.issuer
        version = state.keys_version
        try:
            return open_frame(line, state.usable_keys(), state.revocations, issuer)
        except UnknownFrameKey:
            yield RefetchKeys(version)
            return open_frame(line, state.usable_keys(), state.revocations, issuer)

    def _apply(self, frame: Frame) -> Flow[None]:
        state = self._state
        frame.add_to(state.revocations)
        # A frame of a cache may be older than the key set.
        newer = frame.time > state.freshness.latest
        if newer and frame.jwks is not None and state.keys is not None and frame.jwks != state.keys.digest:
            yield RefetchKeys(state.keys_version)

    def _complete(self, frame: Frame, received: float | None = None) -> None:
        """Note that the state is complete at the time of a frame."""
        state = self._state
        newer = frame.time > state.freshness.latest
        received = self._received if received is None else received
        if not state.freshness.complete(frame.time, received, self._clock.now() * 1000):
            self._complaint = "the clock of this machine differs too much from the server's"
        elif newer and state.keys is not None and frame.jwks == state.keys.digest:
            state.confirm_keys()

    def _reach(self, position: str) -> None:
        state = self._state
        if state.position != position or not state.reached:
            state.position = position
            state.reached.append(position)

    def _other_epoch(self, frames: list[Frame]) -> bool:
        if any(frame.epoch != self._state.epoch for frame in frames):
            self._needs_snapshot = True
        return self._needs_snapshot


def _lines(body: bytes) -> Iterator[bytes]:
    """The lines of a body, one at a time: a small compressed body can have hundreds of millions of them."""
    at = 0
    while at < len(body):
        end = body.find(b"\n", at)
        if end == -1:
            end = len(body)
        if end - at > MAX_FRAME:
            raise FrameError("a frame is too long")
        yield body[at:end]
        at = end + 1


def _retry_after(response: Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
