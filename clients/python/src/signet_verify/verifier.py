"""The verifier for threads: Flask, Django, scripts."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import httpx

from ._ask import asking, take_batch
from ._bearer import bearer_token
from ._effects import Ask, AwaitFeed, Effect, Fetch, LoadKeys, RefetchKeys, RenewKeys, Sleep, drive
from ._follower import MAX_PAUSE, Follower
from ._io import fetch
from ._reporter import Reporter
from ._state import Health, State, logger
from .claims import Claims, Subject
from .errors import VerifyError
from .options import CommonOptions, Options

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Seconds that `close` waits for the follower, whose request the server holds for a second.
CLOSE_TIMEOUT: Final = 3.0


class _Waiting:
    """A token about which the server is asked."""

    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error: VerifyError | None = None


class Verifier:
    """Verifies access tokens. Make one per process and keep it: any number of threads may use it.

    The first verification discovers the server and starts a daemon thread, which follows the revocation feed. After a
    fork, the child starts a thread of its own, and goes on from what the parent knew.

    `options.Options` has the meanings and the defaults of the arguments.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        http_client: httpx.Client | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        self._state = State(Options.of(issuer, audience, options))
        self._given_client = http_client
        self._closed = False
        self._abandoned: list[httpx.Client] = []
        self._make_resources()
        _verifiers.add(self)

    def _make_resources(self) -> None:
        """Make what does not survive a fork."""
        self._client = self._given_client or httpx.Client()
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        self._keys_lock = threading.Lock()
        self._ask_lock = threading.Lock()
        self._waiting_lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._stopped = threading.Event()
        self._first_snapshot = threading.Event()
        self._start_until = 0.0

    def _after_fork(self) -> None:
        # Connections belong to the parent. Closing them here could end its TLS sessions, so they are only kept.
        self._abandoned.append(self._client)
        self._state.cache.renew_lock()
        self._make_resources()

    def __repr__(self) -> str:
        return f"Verifier(issuer={self._state.options.issuer!r}, audience={self._state.options.audience!r})"

    def __enter__(self) -> Verifier:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Verification

    def verify(self, token: str | None, *, scopes: Iterable[str] = (), subject: Subject | None = None) -> Claims:
        """Verify an access token, which must have all of these scopes and, if given, be of this kind of subject.

        Raises `VerifyError`. A token that was verified before costs no cryptography, and no call in any case, unless
        its key is new or the feed is stale and ``when_stale`` is ``ask``.
        """
        self._ensure_started()
        return drive(self._state.verification(token or "", scopes, subject), self._perform)

    def verify_header(
        self, authorization: str | None, *, scopes: Iterable[str] = (), subject: Subject | None = None
    ) -> Claims:
        """Verify the bearer token of an ``Authorization`` header field."""
        return self.verify(bearer_token(authorization), scopes=scopes, subject=subject)

    async def verify_async(
        self, token: str | None, *, scopes: Iterable[str] = (), subject: Subject | None = None
    ) -> Claims:
        """Verify a token from asyncio: what blocks, which is rare, happens in a thread."""
        self._ensure_started()
        flow = self._state.verification(token or "", scopes, subject)
        try:
            effect = next(flow)
        except StopIteration as end:
            claims: Claims = end.value
            return claims
        return await asyncio.to_thread(drive, flow, self._perform, effect)

    @property
    def health(self) -> Health:
        """The state, for health checks and metrics."""
        return self._state.health()

    # Life

    def start(self) -> Health:
        """Discover the server and wait for the revocations, so that no request has to.

        Returns after `start_timeout` at the latest, even if the server cannot be reached.
        """
        self._ensure_started()
        try:
            self._perform(LoadKeys())
        except VerifyError:
            return self.health
        if self._state.follows:
            self._perform(AwaitFeed())
        return self.health

    def close(self) -> None:
        """Stop everything. Takes about a second if the feed is followed live."""
        self._closed = True
        self._stopped.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_TIMEOUT)
        if self._given_client is None:
            self._client.close()

    def _ensure_started(self) -> None:
        if self._thread is not None:
            return
        with self._start_lock:
            if self._closed:
                raise RuntimeError("the verifier is closed")
            if self._thread is None and self._state.follows:
                self._start_until = time.monotonic() + self._state.options.start_timeout
                thread = threading.Thread(target=self._follow, name="signet-verify", daemon=True)
                thread.start()
                self._thread = thread
                if self._state.options.report_as is not None:
                    threading.Thread(target=self._report, name="signet-verify-report", daemon=True).start()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                drive(Follower(self._state).run(), self._perform_for_follower)
                return
            except _Stopped:
                return
            except Exception:
                # The staleness shows until the follower works again.
                logger.exception("the follower of the revocation feed failed")
                self._stopped.wait(MAX_PAUSE)
            finally:
                self._note_snapshot()

    def _report(self) -> None:
        while not self._stopped.is_set():
            try:
                drive(Reporter(self._state).run(), self._perform_for_follower)
            except _Stopped:
                return
            except Exception:
                logger.exception("reporting what was read of the revocation feed failed")
                self._stopped.wait(MAX_PAUSE)

    def _note_snapshot(self) -> None:
        if self._state.feed_absent or not self._state.freshness.never_complete:
            self._first_snapshot.set()

    # Effects

    def _perform_for_follower(self, effect: Effect) -> Any:
        self._note_snapshot()
        if self._stopped.is_set():
            raise _Stopped
        if isinstance(effect, Sleep):
            # Zero lets other threads run.
            time.sleep(0) if effect.seconds == 0 else self._stopped.wait(effect.seconds)
            return None
        return self._perform(effect)

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Fetch():
                return fetch(self._client, effect)
            case LoadKeys():
                with self._keys_lock:
                    drive(self._state.loading(), self._perform)
            case RefetchKeys(version):
                with self._keys_lock:
                    drive(self._state.refetching(version), self._perform)
            case RenewKeys():
                self._renew_keys()
            case AwaitFeed():
                self._first_snapshot.wait(max(0.0, self._start_until - time.monotonic()))
            case Ask(token):
                self._ask(token)

    def _renew_keys(self) -> None:
        if self._keys_lock.acquire(blocking=False):
            try:
                drive(self._state.loading(), self._perform)
            except VerifyError:
                # The caller sees that the keys are too old.
                pass
            finally:
                self._keys_lock.release()

    def _ask(self, token: str) -> None:
        with self._waiting_lock:
            mine = self._waiting.setdefault(token, _Waiting())
        # Tokens that arrive while another thread's request is under way wait here, and go in one request.
        with self._ask_lock:
            while not mine.done:
                self._ask_about_waiting()
        if mine.error is not None:
            # Other threads raise an error of the same token: each needs its own traceback.
            raise VerifyError(mine.error.code)

    def _ask_about_waiting(self) -> None:
        with self._waiting_lock:
            batch = take_batch(self._waiting)
            waiting = [self._waiting.pop(token) for token in batch]
        results: list[VerifyError | None] = [VerifyError("unavailable") for _ in batch]
        try:
            results = drive(asking(self._state, batch), self._perform)
        finally:
            for one, error in zip(waiting, results, strict=True):
                one.error, one.done = error, True


class _Stopped(BaseException):
    """Ends the follower. No flow catches it."""


_verifiers: weakref.WeakSet[Verifier] = weakref.WeakSet()


def _renew_after_fork() -> None:
    for verifier in list(_verifiers):
        verifier._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)
