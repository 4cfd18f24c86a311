"""The verifier for asyncio: FastAPI, Starlette, any ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from ._ask import asking, take_batch
from ._bearer import bearer_token
from ._effects import Ask, AwaitFeed, Effect, Fetch, LoadKeys, RefetchKeys, RenewKeys, Sleep, drive_async
from ._follower import MAX_PAUSE, Follower
from ._io import fetch_async
from ._reporter import Reporter
from ._state import Health, State, logger
from .claims import Claims, Subject
from .errors import VerifyError
from .options import CommonOptions, Options

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _Question:
    """A token about which the server is asked, and the number of tasks that wait for the answer."""

    __slots__ = ("answer", "tasks")

    def __init__(self, answer: asyncio.Future[VerifyError | None]) -> None:
        self.answer = answer
        self.tasks = 0


class _Resources:
    """The objects that belong to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient | None) -> None:
        self.loop = loop
        self.client = client or httpx.AsyncClient()
        self.keys_lock = asyncio.Lock()
        self.first_snapshot = asyncio.Event()
        self.start_until = 0.0
        self.follower: asyncio.Task[None] | None = None
        self.reporter: asyncio.Task[None] | None = None
        self.waiting: dict[str, _Question] = {}
        self.asker: asyncio.Task[None] | None = None


class AsyncVerifier:
    """Verifies access tokens. Make one per process and keep it.

    The first verification discovers the server and starts a task, which follows the revocation feed. Nothing of it is
    shared with a forked child, which has an event loop, and so a task, of its own.

    `options.Options` has the meanings and the defaults of the arguments.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        http_client: httpx.AsyncClient | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        self._state = State(Options.of(issuer, audience, options))
        self._given_client = http_client
        self._closed = False
        self._resources: _Resources | None = None

    def __repr__(self) -> str:
        return f"AsyncVerifier(issuer={self._state.options.issuer!r}, audience={self._state.options.audience!r})"

    async def __aenter__(self) -> AsyncVerifier:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Verification

    async def verify(self, token: str | None, *, scopes: Iterable[str] = (), subject: Subject | None = None) -> Claims:
        """Verify an access token, which must have all of these scopes and, if given, be of this kind of subject.

        Raises `VerifyError`. A token that was verified before costs no cryptography, and no call in any case, unless
        its key is new or the feed is stale and ``when_stale`` is ``ask``.
        """
        self._ensure_started()
        return await drive_async(self._state.verification(token or "", scopes, subject), self._perform)

    async def verify_header(
        self, authorization: str | None, *, scopes: Iterable[str] = (), subject: Subject | None = None
    ) -> Claims:
        """Verify the bearer token of an ``Authorization`` header field."""
        return await self.verify(bearer_token(authorization), scopes=scopes, subject=subject)

    @property
    def health(self) -> Health:
        """The state, for health checks and metrics."""
        return self._state.health()

    # Life

    async def start(self) -> Health:
        """Discover the server and wait for the revocations, so that no request has to.

        Returns after `start_timeout` at the latest, even if the server cannot be reached.
        """
        self._ensure_started()
        try:
            await self._perform(LoadKeys())
        except VerifyError:
            return self.health
        if self._state.follows:
            await self._perform(AwaitFeed())
        return self.health

    async def close(self) -> None:
        """Stop everything."""
        self._closed = True
        resources, self._resources = self._resources, None
        if resources is None or resources.loop is not asyncio.get_running_loop():
            return
        for task in (resources.follower, resources.reporter, resources.asker):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._given_client is None:
            await resources.client.aclose()

    def _ensure_started(self) -> _Resources:
        loop, resources = asyncio.get_running_loop(), self._resources
        if resources is not None and resources.loop is loop:
            return resources
        if self._closed:
            raise RuntimeError("the verifier is closed")
        self._resources = resources = _Resources(loop, self._given_client)
        if self._state.follows:
            resources.start_until = time.monotonic() + self._state.options.start_timeout
            resources.follower = loop.create_task(self._follow(resources), name="signet-verify")
            if self._state.options.report_as is not None:
                resources.reporter = loop.create_task(self._report(), name="signet-verify-report")
        return resources

    async def _follow(self, resources: _Resources) -> None:
        async def perform(effect: Effect) -> Any:
            self._note_snapshot(resources)
            return await self._perform(effect)

        while True:
            try:
                await drive_async(Follower(self._state).run(), perform)
                return
            except Exception:
                # The staleness shows until the follower works again.
                logger.exception("the follower of the revocation feed failed")
                await asyncio.sleep(MAX_PAUSE)
            finally:
                self._note_snapshot(resources)

    async def _report(self) -> None:
        while True:
            try:
                await drive_async(Reporter(self._state).run(), self._perform)
            except Exception:
                logger.exception("reporting what was read of the revocation feed failed")
                await asyncio.sleep(MAX_PAUSE)

    def _note_snapshot(self, resources: _Resources) -> None:
        if self._state.feed_absent or not self._state.freshness.never_complete:
            resources.first_snapshot.set()

    # Effects

    async def _perform(self, effect: Effect) -> Any:
        resources = self._ensure_started()
        match effect:
            case Fetch():
                return await fetch_async(resources.client, effect)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case LoadKeys():
                async with resources.keys_lock:
                    await drive_async(self._state.loading(), self._perform)
            case RefetchKeys(version):
                async with resources.keys_lock:
                    await drive_async(self._state.refetching(version), self._perform)
            case RenewKeys():
                await self._renew_keys(resources)
            case AwaitFeed():
                with contextlib.suppress(asyncio.TimeoutError):
                    remaining = max(0.0, resources.start_until - time.monotonic())
                    await asyncio.wait_for(resources.first_snapshot.wait(), remaining)
            case Ask(token):
                await self._ask(resources, token)

    async def _renew_keys(self, resources: _Resources) -> None:
        if not resources.keys_lock.locked():
            async with resources.keys_lock:
                # The caller sees that the keys are too old.
                with contextlib.suppress(VerifyError):
                    await drive_async(self._state.loading(), self._perform)

    async def _ask(self, resources: _Resources, token: str) -> None:
        question = resources.waiting.get(token)
        if question is None:
            question = resources.waiting[token] = _Question(resources.loop.create_future())
        if resources.asker is None or resources.asker.done():
            # A task of its own: a request that is cancelled takes no answer away from others.
            resources.asker = resources.loop.create_task(self._ask_about_waiting(resources), name="signet-verify-ask")
        question.tasks += 1
        try:
            # The longest wait: a request that is under way, and then the one with the token. While a server accepts
            # connections and never responds, the requests for the tokens before it would take as long each.
            error = await asyncio.wait_for(asyncio.shield(question.answer), 2 * self._state.options.timeout)
        except asyncio.TimeoutError:
            raise VerifyError("unavailable") from None
        finally:
            question.tasks -= 1
            if question.tasks == 0 and resources.waiting.get(token) is question:
                # Otherwise, after an outage, the server would first be asked about the tokens of requests that have
                # ended.
                del resources.waiting[token]
        if error is not None:
            # Others raise an error of the same token: each needs its own traceback.
            raise VerifyError(error.code)

    async def _ask_about_waiting(self, resources: _Resources) -> None:
        while resources.waiting:
            batch = take_batch(resources.waiting)
            questions = [resources.waiting.pop(token) for token in batch]
            results: list[VerifyError | None] = [VerifyError("unavailable") for _ in batch]
            try:
                results = await drive_async(asking(self._state, batch), self._perform)
            finally:
                for question, error in zip(questions, results, strict=True):
                    if not question.answer.done():
                        question.answer.set_result(error)
