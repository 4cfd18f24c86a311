"""The age of the follower's state, measured so that nobody who relays frames can hide a delay.

While the machine sleeps, the monotonic clock may stand still, so the wall clock counts too.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

#: The largest difference in milliseconds between a frame and the wall clock. It bounds a delay that began long ago.
MAX_DIFFERENCE: Final = 120_000

#: Milliseconds after which an offset is forgotten, because the two clocks drift apart.
OFFSET_AGE: Final = 60 * 60 * 1000

#: Offsets are kept in groups of so many milliseconds, of which only the smallest counts.
_GROUP: Final = 60 * 1000


class Freshness:
    """Measures the time since the state was complete. All times are in milliseconds."""

    def __init__(self) -> None:
        self.latest = -math.inf
        """The greatest time at which the state was complete."""
        self._progress_at = -math.inf
        """On the wall clock: when the frame with that time was received."""
        # The beginning of each group and its smallest offset.
        self._offsets: deque[tuple[float, float]] = deque()
        self._offset = math.inf

    @property
    def never_complete(self) -> bool:
        """True as long as no frame has proved that the state was complete."""
        return self.latest == -math.inf

    def complete(self, time: int, received: float, wall: float) -> bool:
        """Note that the state was complete at the time of a frame, which was received at a time of the monotonic clock.

        False if the frame proves nothing, because its time differs too much from the wall clock.
        """
        if abs(time - wall) > MAX_DIFFERENCE:
            return False
        offset = received - time
        if self._offsets and received < self._offsets[-1][0] + _GROUP:
            began, smallest = self._offsets[-1]
            self._offsets[-1] = (began, min(smallest, offset))
        else:
            self._offsets.append((received, offset))
        while received >= self._offsets[0][0] + OFFSET_AGE:
            self._offsets.popleft()
        self._offset = min(smallest for _, smallest in self._offsets)
        if time > self.latest:
            self.latest, self._progress_at = time, wall
        return True

    def staleness(self, now: float, wall: float) -> float:
        """Milliseconds since the state was complete; infinite if it never was."""
        if self.never_complete:
            return math.inf
        return max(0.0, now - self.latest - self._offset, wall - self._progress_at)
