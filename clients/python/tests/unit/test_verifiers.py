"""The two verifiers with their threads and tasks, over httpx, against a server in memory."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pickle
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fake_signet import AUDIENCE, ISSUER, FakeSignet

from signet_verify import AsyncVerifier, ErrorCode, Verifier, VerifyError
from signet_verify._ask import MAX_BYTES, take_batch
from signet_verify.options import Options, VerifierOptions


class Live:
    """A server whose live feed waits, as Signet's does, so that followers do not spin."""

    def __init__(self) -> None:
        self.server = FakeSignet()
        self.server.clock.advance = lambda seconds: None  # type: ignore[method-assign]  # noqa: ARG005
        self.changed = threading.Condition()
        self.batches: list[int] = []
        self.hold_batches = threading.Event()
        self.hold_batches.set()

    def revoke(self, id_: str) -> None:
        with self.changed:
            self.server.revoke(id_)
            self.changed.notify_all()

    def waits(self, request: httpx.Request) -> bool:
        path = request.url.path
        return "/after/" in path and path.endswith(f"/p{len(self.server.log)}") and not self.server.down

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/batch"):
            self.batches.append(len(json.loads(request.read())["tokens"]))
            self.hold_batches.wait(10)
        if self.waits(request):
            with self.changed:
                self.changed.wait(0.05)
        with self.changed:
            return self.server.handle(request)

    async def handle_async(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.to_thread(self.handle, request)

    def verifier(self, **options: Any) -> Verifier:
        client = httpx.Client(transport=httpx.MockTransport(self.handle))
        return Verifier(ISSUER, AUDIENCE, http_client=client, clock=self.server.clock, **options)

    def async_verifier(self, **options: Any) -> AsyncVerifier:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.handle_async))
        return AsyncVerifier(ISSUER, AUDIENCE, http_client=client, clock=self.server.clock, **options)


@pytest.fixture
def live() -> Iterator[Live]:
    live = Live()
    yield live
    live.hold_batches.set()


def code(verifier: Verifier, token: str | None, **requirements: Any) -> str:
    try:
        verifier.verify(token, **requirements)
    except VerifyError as error:
        return error.code
    return ""


async def code_async(verifier: AsyncVerifier, token: str | None, **requirements: Any) -> str:
    try:
        await verifier.verify(token, **requirements)
    except VerifyError as error:
        return error.code
    return ""


@pytest.mark.parametrize("feed", ["live", "poll", "off"])
def test_threads(live: Live, feed: Any) -> None:
    with live.verifier(feed=feed) as verifier:
        assert verifier.health.ready
        assert verifier.health.feed == feed
        token = live.server.token()
        assert verifier.verify(token, scopes=["notes:read"], subject="user").sub == "user-1"
        assert verifier.verify_header(f"bearer {token}").sub == "user-1"
        assert code(verifier, None) == code(verifier, "") == "missing"
        assert code(verifier, token, scopes=["admin"]) == "insufficient_scope"
        assert code(verifier, token, subject="client") == "wrong_subject"
        headers = {None: "missing", "": "missing", "Basic eDp5": "missing", token: "missing"}
        headers |= dict.fromkeys(("Bearer", "Bearer ", f"Bearer {token}, Bearer {token}"), "invalid_request")
        for header, expected in headers.items():
            with pytest.raises(VerifyError) as error:
                verifier.verify_header(header)
            assert error.value.code == expected
    with pytest.raises(RuntimeError, match="closed"):
        live.verifier().__class__.verify(closed(live), "x")
    assert not [thread for thread in threading.enumerate() if thread.name == "signet-verify"]


def closed(live: Live) -> Verifier:
    verifier = live.verifier()
    verifier.close()
    return verifier


def test_a_sign_out_reaches_the_thread(live: Live) -> None:
    with live.verifier() as verifier:
        claims = live.server.claims()
        token = live.server.sign(claims)
        assert code(verifier, token) == ""
        live.revoke(claims["sid"])
        wait_for(lambda: code(verifier, token) == "revoked")
        assert verifier.health.revocations == 1


def wait_for(condition: Any) -> None:
    """Wait until a condition holds; at most a minute, which is much even for a busy machine."""
    for _ in range(12_000):
        if condition():
            return
        threading.Event().wait(0.005)
    raise AssertionError("the condition does not come true")


def test_the_task(live: Live) -> None:
    async def main() -> None:
        async with live.async_verifier() as verifier:
            assert verifier.health.ready
            claims = live.server.claims()
            token = live.server.sign(claims)
            assert (await verifier.verify(token, scopes=["notes:read"], subject="user")).sub == "user-1"
            assert (await verifier.verify_header(f"Bearer {token}")).sub == "user-1"
            assert await code_async(verifier, None) == "missing"
            live.revoke(claims["sid"])
            for _ in range(12_000):
                if await code_async(verifier, token) == "revoked":
                    break
                await asyncio.sleep(0.005)
            assert await code_async(verifier, token) == "revoked"
        with pytest.raises(RuntimeError, match="closed"):
            await verifier.verify(token)
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("signet")] == []

    asyncio.run(main())


def test_an_async_verifier_moves_to_another_loop(live: Live) -> None:
    verifier = live.async_verifier()
    token = live.server.token()
    for _ in range(2):
        assert asyncio.run(code_async(verifier, token)) == ""


def test_a_thread_verifier_serves_asyncio(live: Live) -> None:
    with live.verifier() as verifier:
        live.server.add_key("second")

        async def main() -> None:
            for token in (live.server.token(), live.server.token("second")):
                assert (await verifier.verify_async(token)).sub == "user-1"
            with pytest.raises(VerifyError):
                await verifier.verify_async("x")

        asyncio.run(main())


def test_many_threads_cause_one_fetch(live: Live) -> None:
    with live.verifier(feed="off") as verifier:
        live.server.add_key("second")
        token = live.server.token("second")
        codes: list[str] = []
        threads = [threading.Thread(target=lambda: codes.append(code(verifier, token))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == [""] * 20
        assert live.server.count("jwks.json") == 2


def test_many_tasks_cause_one_fetch(live: Live) -> None:
    async def main() -> None:
        async with live.async_verifier(feed="off") as verifier:
            live.server.add_key("second")
            token = live.server.token("second")
            assert set(await asyncio.gather(*(code_async(verifier, token) for _ in range(20)))) == {""}
            assert live.server.count("jwks.json") == 2

    asyncio.run(main())


def stale(live: Live) -> None:
    """Make every follower stale: the feed fails, and a minute passes."""
    live.server.feed_status = 503
    live.server.clock.wall += 60
    live.server.clock.uptime += 60


@pytest.mark.parametrize(("when_stale", "expected"), [("allow", ""), ("refuse", "stale"), ("ask", "")])
def test_what_happens_while_the_feed_is_stale(live: Live, when_stale: Any, expected: str) -> None:
    with live.verifier(when_stale=when_stale) as verifier:
        claims = live.server.claims()
        token, ended = live.server.sign(claims), live.server.token(sid="session-2")
        stale(live)
        live.server.revoke("session-2")
        assert code(verifier, token) == expected
        assert code(verifier, ended) == ("revoked" if when_stale == "ask" else expected)
        assert code(verifier, "x.y.z") == "malformed"
        live.server.batch_status = 503
        assert code(verifier, token) == ("unavailable" if when_stale == "ask" else expected)
        assert not verifier.health.ready


class Waiting(dict[str, Any]):
    """The tokens that are asked about. Counts the threads that ask."""

    threads = 0

    def setdefault(self, key: str, default: Any = None, /) -> Any:
        self.threads += 1
        return super().setdefault(key, default)


def test_questions_of_threads_are_asked_together(live: Live) -> None:
    with live.verifier(when_stale="ask") as verifier:
        tokens = [live.server.token(sub=str(number)) for number in range(10)]
        assert {code(verifier, token) for token in tokens} == {""}
        stale(live)
        live.hold_batches.clear()
        verifier._waiting = waiting = Waiting()
        codes: list[str] = []

        def ask(token: str) -> None:
            codes.append(code(verifier, token))

        threads = [threading.Thread(target=ask, args=(token,)) for token in [*tokens, *tokens]]
        for thread in threads:
            thread.start()
        wait_for(lambda: waiting.threads == 20)
        live.hold_batches.set()
        for thread in threads:
            thread.join()
        assert codes == [""] * 20
        # One is under way when the others come, and all of those are in the next.
        assert len(live.batches) <= 2


def test_questions_of_tasks_are_asked_together(live: Live) -> None:
    async def main() -> None:
        async with live.async_verifier(when_stale="ask") as verifier:
            tokens = [live.server.token(sub=str(number)) for number in range(10)]
            stale(live)
            tasks = [asyncio.ensure_future(code_async(verifier, token)) for token in [*tokens, *tokens]]
            await asyncio.sleep(0)
            # A request that is cancelled takes no answer away from others.
            tasks[0].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert results[1:] == [""] * 19
            assert live.batches == [10]
            live.server.batch_status = 500
            assert await code_async(verifier, tokens[0]) == "unavailable"

    asyncio.run(main())


def test_a_question_of_a_task_waits_for_two_requests_at_most(live: Live) -> None:
    async def main() -> None:
        async with live.async_verifier(when_stale="ask") as verifier:
            tokens = [live.server.token(sub=str(number)) for number in range(2)]
            assert [await code_async(verifier, token) for token in tokens] == [""] * 2
            stale(live)
            verifier._state.options = dataclasses.replace(verifier._state.options, timeout=0.05)
            live.hold_batches.clear()
            # The server holds the request about the first one, so the second is never sent.
            assert [await code_async(verifier, token) for token in tokens] == ["unavailable"] * 2
            live.hold_batches.set()
            resources = verifier._resources
            assert resources is not None
            assert resources.waiting == {}
            assert resources.asker is not None
            await resources.asker
            assert live.batches == [1]

    asyncio.run(main())


def test_a_batch_is_bounded() -> None:
    assert len(take_batch(str(number) for number in range(5000))) == 1024
    large = ["x" * 300_000 for _ in range(9)]
    assert sum(map(len, take_batch(large))) <= MAX_BYTES
    assert take_batch(["x" * 2 * MAX_BYTES]) == ["x" * 2 * MAX_BYTES]


def test_a_start_without_a_server_ends(live: Live) -> None:
    live.server.down = True
    with live.verifier(start_timeout=0.05) as verifier:
        assert not verifier.health.ready
        assert (
            verifier.health.error
            == f"the keys cannot be fetched: {ISSUER}/.well-known/oauth-authorization-server: ConnectError"
        )
        assert code(verifier, live.server.token()) == "unavailable"

    async def main() -> None:
        async with live.async_verifier(start_timeout=0.05) as verifier:
            assert await code_async(verifier, live.server.token()) == "unavailable"

    asyncio.run(main())


def test_a_start_without_a_feed_ends(live: Live) -> None:
    live.server.feed_status = 503
    with live.verifier(start_timeout=0.05) as verifier:
        assert code(verifier, live.server.token()) == "stale"
        assert verifier.health.staleness is None

    async def main() -> None:
        async with live.async_verifier(start_timeout=0.05) as verifier:
            assert await code_async(verifier, live.server.token()) == "stale"

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_follows_by_itself(live: Live) -> None:
    with live.verifier() as verifier:
        claims = live.server.claims()
        token = live.server.sign(claims)
        assert code(verifier, token) == ""
        # The child must not wait for locks that threads of the parent hold.
        with verifier._keys_lock, verifier._ask_lock, verifier._waiting_lock, verifier._start_lock:
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    live.changed = threading.Condition()
                    assert code(verifier, token) == ""
                    live.revoke(claims["sid"])
                    wait_for(lambda: code(verifier, token) == "revoked")
                    status = 0
                finally:
                    os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert code(verifier, token) == ""


def test_a_follower_that_fails_is_logged(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    def broken(path: str, body: bytes) -> bytes:
        if "snapshot" in path:
            raise ZeroDivisionError
        return body

    live.server.intercept = broken
    with live.verifier(start_timeout=0.1) as verifier:
        assert code(verifier, live.server.token()) == "stale"
        wait_for(lambda: "the follower of the revocation feed failed" in caplog.text)


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (VerifyError("missing"), 401, {"WWW-Authenticate": "Bearer"}),
        (VerifyError("invalid_request"), 400, {"WWW-Authenticate": 'Bearer error="invalid_request"'}),
        (
            VerifyError("expired"),
            401,
            {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="The access token has expired"'},
        ),
        (
            VerifyError("insufficient_scope", scopes=["b", "a"]),
            403,
            {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="a b"'},
        ),
        (VerifyError("stale"), 503, {"Retry-After": "5"}),
        (VerifyError("unavailable"), 503, {"Retry-After": "5"}),
    ],
)
def test_errors_have_their_responses(error: VerifyError, status: int, headers: dict[str, str]) -> None:
    assert error.status == status
    assert error.headers == headers | {"Cache-Control": "no-store"}
    assert error.problem == {"type": error.code, "title": error.title, "status": status}
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.code, copied.scopes) == (error.code, error.scopes)


def test_every_code_has_a_title() -> None:
    for one in ErrorCode.__args__:  # type: ignore[attr-defined]
        assert VerifyError(one).title == str(VerifyError(one))


def test_reprs_name_the_server(live: Live) -> None:
    assert repr(live.verifier()) == f"Verifier(issuer='{ISSUER}', audience='{AUDIENCE}')"
    assert repr(live.async_verifier()) == f"AsyncVerifier(issuer='{ISSUER}', audience='{AUDIENCE}')"


def test_large_and_slow_responses_are_refused() -> None:
    from signet_verify._effects import Fetch, FetchFailed
    from signet_verify._io import fetch

    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=b"x" * 1000)))
    assert fetch(client, Fetch(ISSUER, 1000)).body == b"x" * 1000
    with pytest.raises(FetchFailed, match="too large"):
        fetch(client, Fetch(ISSUER, 999))
    with pytest.raises(FetchFailed, match="too long"):
        fetch(client, Fetch(ISSUER, 1000, deadline=-1.0))
    client.close()
    with pytest.raises(FetchFailed, match="RuntimeError"):
        fetch(client, Fetch(ISSUER, 1000))


def test_no_coding_but_gzip_is_decompressed() -> None:
    from signet_verify._effects import Fetch, FetchFailed
    from signet_verify._io import fetch, fetch_async

    def respond(request: httpx.Request) -> httpx.Response:
        assert request.headers["Accept-Encoding"] == "gzip"
        return httpx.Response(200, headers={"Content-Encoding": "deflate"}, content=zlib.compress(b"x"))

    client = httpx.Client(transport=httpx.MockTransport(respond))
    with client, pytest.raises(FetchFailed, match="content coding"):
        fetch(client, Fetch(ISSUER, 1000))

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
            with pytest.raises(FetchFailed, match="content coding"):
                await fetch_async(client, Fetch(ISSUER, 1000))

    asyncio.run(main())


def test_the_typed_arguments_are_the_settings() -> None:
    fields = {field.name: field.type for field in dataclasses.fields(Options)}
    arguments = {name: hint.__forward_arg__ for name, hint in VerifierOptions.__annotations__.items()}
    assert arguments == fields | {"clock": "Clock | None"}


@pytest.mark.parametrize("kind", [Verifier, AsyncVerifier])
def test_an_unknown_argument_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="max_stalenes"):
        kind("https://id.example.org", "notes", max_stalenes=5)
    assert kind("https://id.example.org", "notes", clock=None, leeway=7)._state.options.leeway == 7
