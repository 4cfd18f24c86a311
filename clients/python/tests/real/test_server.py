"""The verifiers against a running Signet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from signet_verify import AsyncVerifier, FeedMode, Verifier, VerifyError, WhenStale

WaitUntil = Callable[[Callable[[], Any]], None]


def code(verifier: Verifier, token: str, **requirements: Any) -> str:
    """The code with which a token is refused; empty if it is accepted."""
    try:
        verifier.verify(token, **requirements)
    except VerifyError as error:
        return error.code
    return ""


@pytest.mark.parametrize("feed", ["live", "poll"])
def test_a_signed_out_user_is_refused(signet: Any, wait_until: WaitUntil, feed: FeedMode) -> None:
    with Verifier(signet.issuer, "signet", feed=feed) as verifier:
        assert verifier.health.ready, verifier.health
        token, other = signet.sign_in(), signet.sign_in()
        claims = verifier.verify(token, subject="user")
        assert claims.is_user
        # The address is not confirmed.
        assert (claims.email, claims.audience) == (None, ("signet",))
        assert code(verifier, other) == ""
        signet.sign_out(token)
        wait_until(lambda: code(verifier, token) == "revoked")
        # One that starts now knows it from the snapshot.
        with Verifier(signet.issuer, "signet", feed=feed) as second:
            assert code(second, token) == "revoked"


def test_a_signed_out_user_is_refused_by_asyncio(signet: Any) -> None:
    async def main() -> None:
        async with AsyncVerifier(signet.issuer, "signet") as verifier:
            token = await asyncio.to_thread(signet.sign_in)
            assert (await verifier.verify(token)).is_user
            await asyncio.to_thread(signet.sign_out, token)
            for _ in range(3000):
                try:
                    await verifier.verify(token)
                except VerifyError as error:
                    assert error.code == "revoked"  # noqa: PT017 - it is not raised at once
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("the token is still accepted")

    asyncio.run(main())


def test_only_access_tokens_are_accepted(signet: Any) -> None:
    with Verifier(signet.issuer, "signet") as verifier:
        kinds = set()
        for token in signet.tokens:
            refused = code(verifier, token["text"])
            kinds.add(token["kind"])
            assert (refused == "") == (token["kind"] in ("Access", "Client")), (token["kind"], refused)
            assert (code(verifier, token["text"], subject="user") == "") == (token["kind"] == "Access")
        assert len(kinds) > 4


def test_a_token_of_an_api_key_is_that_of_a_client(signet: Any) -> None:
    with Verifier(signet.issuer, "signet") as verifier:
        token = signet.client_token()
        claims = verifier.verify(token, scopes=["introspect"], subject="client")
        assert claims.is_client
        assert claims.client_id
        assert code(verifier, token, subject="user") == "wrong_subject"
        assert code(verifier, token, scopes=["other"]) == "insufficient_scope"


def test_another_audience_or_issuer_is_refused(signet: Any) -> None:
    token = signet.sign_in()
    with Verifier(signet.issuer, "other", feed="off") as verifier:
        assert code(verifier, token) == "wrong_audience"
    with Verifier(f"{signet.issuer}/", "signet", feed="off") as verifier:
        assert code(verifier, token) == "unavailable"


def test_a_revoked_signing_key_is_refused_and_the_next_one_accepted(signet: Any, wait_until: WaitUntil) -> None:
    with Verifier(signet.issuer, "signet") as verifier:
        token = signet.sign_in()
        assert code(verifier, token) == ""
        signet.command("keys", "revoke", jwt.get_unverified_header(token)["kid"])
        wait_until(lambda: code(verifier, token) in ("revoked", "unknown_key"))
        assert code(verifier, signet.sign_in()) == ""
        wait_until(lambda: verifier.health.ready and verifier.health.error is None)


def test_a_silent_server_is_noticed(signet: Any, wait_until: WaitUntil) -> None:
    token = signet.sign_in()

    def make(when_stale: WhenStale) -> Verifier:
        verifier = Verifier(signet.issuer, "signet", max_staleness=2.5, timeout=1, when_stale=when_stale)
        verifier.start()
        return verifier

    with make("refuse") as refuse, make("allow") as allow, make("ask") as ask:
        wait_until(lambda: code(refuse, token) == code(allow, token) == code(ask, token) == "")
        with signet.frozen():
            wait_until(lambda: code(refuse, token) == "stale")
            wait_until(lambda: code(ask, token) == "unavailable")
            assert code(allow, token) == ""
            assert not allow.health.ready
        wait_until(lambda: refuse.health.ready and allow.health.ready and ask.health.ready)
        wait_until(lambda: code(refuse, token) == code(allow, token) == code(ask, token) == "")


def test_a_stale_verifier_asks_the_server(signet: Any) -> None:
    # No feed is as fresh as this, so each token is asked about.
    with Verifier(signet.issuer, "signet", max_staleness=1e-9, when_stale="ask") as verifier:
        token = signet.sign_in()
        assert code(verifier, token) == ""
        signet.sign_out(token)
        assert code(verifier, token) == "revoked"


@pytest.mark.parametrize("feed", ["live", "poll"])
def test_a_restarted_server_is_followed(signet: Any, wait_until: WaitUntil, feed: FeedMode) -> None:
    with Verifier(signet.issuer, "signet", feed=feed) as verifier:
        ended = signet.sign_in()
        signet.sign_out(ended)
        wait_until(lambda: code(verifier, ended) == "revoked")
        signet.command("restart")
        after = signet.sign_in()
        wait_until(lambda: verifier.health.ready and verifier.health.error is None)
        assert code(verifier, ended) == "revoked"
        assert code(verifier, after) == ""
        signet.sign_out(after)
        wait_until(lambda: code(verifier, after) == "revoked")
