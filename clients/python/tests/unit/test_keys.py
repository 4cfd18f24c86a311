"""Discovery, the key set and its renewal, in virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_signet import AUDIENCE, ISSUER, Driver, FakeSignet

from signet_verify import VerifyError
from signet_verify._cache import MAX_LENGTH, TokenCache
from signet_verify._effects import Fetch, FetchFailed, Response, drive
from signet_verify._metadata import Metadata, discover, key_ages, parse_metadata
from signet_verify._state import State
from signet_verify.options import Options


class Setup:
    """A server and a verifier without a feed."""

    def __init__(self, **options: Any) -> None:
        self.server = FakeSignet()
        self.state = State(Options(issuer=ISSUER, audience=AUDIENCE, clock=self.server.clock, feed="off", **options))
        self.driver = Driver(self.server, self.state)

    def code(self, token: str) -> str:
        try:
            self.driver.run(self.state.verification(token, (), None))
        except VerifyError as error:
            return error.code
        return ""

    @property
    def fetches(self) -> int:
        return self.server.count("jwks.json")


def test_one_fetch_is_enough() -> None:
    setup = Setup()
    for _ in range(3):
        assert setup.code(setup.server.token()) == ""
    assert setup.server.requests == ["/.well-known/oauth-authorization-server", "/.well-known/jwks.json"]


def test_an_unknown_key_causes_one_fetch_past_caches_in_ten_seconds() -> None:
    setup = Setup()
    assert setup.code(setup.server.token()) == ""
    setup.server.add_key("second")
    assert setup.code(setup.server.token("second")) == ""
    assert setup.fetches == 2
    assert setup.driver.fetched[-1].headers["Cache-Control"] == "no-cache"
    setup.server.clock.advance(1)
    for _ in range(5):
        assert setup.code(setup.server.token(header={"kid": "guessed"})) == "unknown_key"
    assert setup.fetches == 3
    setup.server.clock.advance(9.9)
    assert setup.code(setup.server.token(header={"kid": "guessed"})) == "unknown_key"
    assert setup.fetches == 3
    setup.server.clock.advance(0.2)
    assert setup.code(setup.server.token(header={"kid": "guessed"})) == "unknown_key"
    assert setup.fetches == 4


def test_a_token_without_a_kid_causes_no_fetch() -> None:
    setup = Setup()
    assert setup.code(setup.server.token(header={"kid": ...})) == "unknown_key"
    assert setup.fetches == 1
    setup.server.down = True
    fetched = len(setup.driver.fetched)
    assert setup.code(setup.server.token(header={"kid": ...})) == "unknown_key"
    assert len(setup.driver.fetched) == fetched


def test_keys_expire_with_the_response() -> None:
    setup = Setup()
    token = setup.server.token(exp=9_000_000_000)
    assert setup.code(token) == ""
    setup.server.clock.advance(299)
    assert setup.code(token) == ""
    assert setup.fetches == 1
    setup.server.clock.advance(2)
    assert setup.code(token) == ""
    assert setup.fetches == 2


def test_old_keys_serve_while_the_server_is_down_as_long_as_it_allowed() -> None:
    setup = Setup()
    token = setup.server.token(exp=9_000_000_000)
    assert setup.code(token) == ""
    setup.server.down = True
    setup.server.clock.advance(301)
    for _ in range(5):
        assert setup.code(token) == ""
    # One attempt in ten seconds, not one for each request.
    assert sum(fetch.url.endswith("jwks.json") for fetch in setup.driver.fetched) == 2
    setup.server.clock.advance(598)
    assert setup.code(token) == ""
    setup.server.clock.advance(2)
    assert setup.code(token) == "unavailable"
    assert setup.state.health().keys == 0
    setup.server.down = False
    setup.server.clock.advance(10)
    assert setup.code(token) == ""
    assert setup.state.health().ready
    assert setup.state.health().error is None


def test_a_key_that_is_gone_verifies_nothing_more() -> None:
    setup = Setup()
    setup.server.add_key("second")
    token = setup.server.token("second", exp=9_000_000_000)
    assert setup.code(token) == ""
    del setup.server.keys["second"]
    setup.server.clock.advance(301)
    assert setup.code(token) == "unknown_key"


def test_a_key_with_the_same_name_and_another_value_is_another_key() -> None:
    setup = Setup()
    token = setup.server.token(exp=9_000_000_000)
    assert setup.code(token) == ""
    setup.server.add_key("first")
    setup.server.clock.advance(301)
    assert setup.code(token) == "bad_signature"


def test_a_server_that_cannot_be_reached_is_tried_once_a_second() -> None:
    setup = Setup()
    setup.server.down = True
    for _ in range(5):
        assert setup.code("x") == "unavailable"
    assert len(setup.driver.fetched) == 1
    setup.server.clock.advance(1)
    setup.server.down = False
    assert setup.code(setup.server.token()) == ""


def test_those_who_waited_for_a_failed_load_do_not_repeat_it() -> None:
    setup = Setup()
    setup.server.down, setup.driver.timeout = True, 5.0
    for _ in range(5):
        assert setup.code("x") == "unavailable"
    assert len(setup.driver.fetched) == 1
    setup.server.clock.advance(1)
    assert setup.code("x") == "unavailable"
    assert len(setup.driver.fetched) == 2


def test_those_who_waited_for_a_failed_refetch_do_not_repeat_it() -> None:
    setup = Setup()
    assert setup.code(setup.server.token()) == ""
    setup.server.down, setup.driver.timeout = True, 5.0
    setup.server.clock.advance(1)
    fetched = len(setup.driver.fetched)
    for _ in range(5):
        setup.driver.run(setup.state.refetching(setup.state.keys_version))
    assert len(setup.driver.fetched) == fetched + 1
    setup.server.clock.advance(1)
    setup.driver.run(setup.state.refetching(setup.state.keys_version))
    assert len(setup.driver.fetched) == fetched + 2


def announced_later(setup: Setup) -> str:
    """A token whose key the server has made since the key set was fetched."""
    assert setup.code(setup.server.token()) == ""
    setup.server.add_key("later")
    return setup.server.token("later")


def test_an_unknown_key_is_unavailable_while_the_server_is_down() -> None:
    setup = Setup()
    token = announced_later(setup)
    setup.server.down = True
    fetched = len(setup.driver.fetched)
    for number in range(5):
        assert setup.code(token) == "unavailable"
        assert setup.code(setup.server.token(header={"kid": f"guessed-{number}"})) == "unavailable"
    assert len(setup.driver.fetched) == fetched + 1
    setup.server.down = False
    setup.server.clock.advance(10)
    assert setup.code(token) == ""


def test_an_unknown_key_is_unavailable_while_the_server_hangs() -> None:
    setup = Setup()
    token = announced_later(setup)
    setup.server.down, setup.driver.timeout = True, 5.0
    for _ in range(5):
        assert setup.code(token) == "unavailable"
    assert setup.server.clock.monotonic() < 5_010


def test_an_unknown_key_is_unavailable_if_the_keys_are_invalid() -> None:
    setup = Setup()
    token = announced_later(setup)
    setup.server.intercept = lambda path, body: b"<html>" if path.endswith("jwks.json") else body
    assert setup.code(token) == "unavailable"


def test_an_unknown_key_is_refused_once_the_keys_are_fetched_again() -> None:
    setup = Setup()
    assert setup.code(setup.server.token()) == ""
    guessed = setup.server.token(header={"kid": "guessed"})
    setup.server.down = True
    assert setup.code(guessed) == "unavailable"
    setup.server.down = False
    setup.server.clock.advance(10)
    assert setup.code(guessed) == "unknown_key"
    assert setup.code(guessed) == "unknown_key"


def test_an_unknown_key_is_unavailable_after_a_later_failure() -> None:
    setup = Setup()
    assert setup.code(setup.server.token()) == ""
    guessed = setup.server.token(header={"kid": "guessed"})
    assert setup.code(guessed) == "unknown_key"
    # A frame announces other keys.
    setup.server.down = True
    setup.server.clock.advance(1)
    setup.driver.run(setup.state.refetching(setup.state.keys_version))
    assert setup.code(guessed) == "unavailable"


def test_an_unknown_key_is_unavailable_after_an_abandoned_fetch() -> None:
    setup = Setup()
    token = announced_later(setup)
    flow = setup.state.refetching(setup.state.keys_version)
    assert isinstance(next(flow), Fetch)
    # The task of the request is cancelled.
    flow.close()
    assert setup.code(token) == "unavailable"


def test_made_up_keys_change_nothing_for_other_tokens() -> None:
    setup = Setup()
    token = setup.server.token()
    assert setup.code(token) == ""
    setup.server.down = True
    assert setup.code(setup.server.token(header={"kid": "guessed"})) == "unavailable"
    for valid in (token, setup.server.token(sub="another")):
        assert setup.code(valid) == ""


def test_cached_tokens_still_expire() -> None:
    setup = Setup()
    token = setup.server.token()
    assert setup.code(token) == ""
    setup.server.clock.advance(604)
    assert setup.code(token) == ""
    setup.server.clock.advance(1)
    assert setup.code(token) == "expired"


def test_a_token_that_is_not_valid_yet_is_refused() -> None:
    setup = Setup()
    now = int(setup.server.clock.now())
    token = setup.server.token(nbf=now + 6)
    assert setup.code(token) == "not_yet_valid"
    setup.server.clock.advance(1)
    assert setup.code(token) == ""
    # A clock that is set back.
    setup.server.clock.wall -= 5
    assert setup.code(token) == "not_yet_valid"


def test_the_cache_is_bounded_and_drops_the_oldest() -> None:
    setup = Setup(cache_size=2)
    first, second, third = (setup.server.token(sub=str(number)) for number in range(3))
    for token in (first, second, first, third):
        assert setup.code(token) == ""
    assert len(setup.state.cache) == 2
    assert setup.state.cache.get(second) is None
    assert setup.state.cache.get(first) is not None


def test_the_cached_texts_together_are_bounded() -> None:
    setup = Setup()
    token = setup.server.token()
    assert setup.code(token) == ""
    entry = setup.state.cache.get(token)
    assert entry is not None
    cache = TokenCache(10)
    first, second, third = (letter * (MAX_LENGTH // 2) for letter in "abc")
    for text in (first, first, second):
        cache.put(text, entry)
    assert len(cache) == 2
    cache.put(third, entry)
    assert cache.get(first) is None
    cache.drop(second)
    cache.put(first, entry)
    assert len(cache) == 2


def test_refused_tokens_are_not_cached() -> None:
    setup = Setup()
    for token in (setup.server.token(aud="other"), setup.server.token(exp=1), setup.server.token()[:-4] + "AAAA"):
        assert setup.code(token) != ""
    assert len(setup.state.cache) == 0


@pytest.mark.parametrize(
    ("header", "ages"),
    [
        ("", (300, 0)),
        ("no-store", (300, 0)),
        ("public, max-age=60", (60, 0)),
        ("public,max-age=1", (30, 0)),
        ("max-age=99999999, stale-if-error=99999999", (86400, 86400)),
        ("s-maxage=5, MAX-AGE=100, Stale-If-Error=7", (100, 7)),
        ("max-age=x", (300, 0)),
    ],
)
def test_the_age_of_keys_is_clamped(header: str, ages: tuple[int, int]) -> None:
    assert key_ages({"cache-control": header}) == ages


def metadata(**changes: Any) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/.well-known/jwks.json"} | changes).encode()


def test_metadata_says_where_things_are() -> None:
    assert parse_metadata(metadata(), ISSUER) == Metadata(
        f"{ISSUER}/.well-known/jwks.json", None, f"{ISSUER}/verify/batch"
    )
    given = metadata(verification_endpoint=f"{ISSUER}/id/verify", revocation_feed_uri=f"{ISSUER}/feed/")
    assert parse_metadata(given, ISSUER).batch == f"{ISSUER}/id/verify/batch"
    assert parse_metadata(given, ISSUER).feed == f"{ISSUER}/feed"
    assert parse_metadata(metadata(jwks_uri="https://keys.example.org/a"), ISSUER).batch is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        metadata(issuer=ISSUER + "/"),
        metadata(issuer=None),
        metadata(jwks_uri=None),
        metadata(jwks_uri="http://id.example.org/jwks"),
        metadata(jwks_uri="https://user:password@id.example.org/jwks"),
        metadata(revocation_feed_uri="ftp://id.example.org"),
        metadata(verification_endpoint=5),
    ],
)
def test_bad_metadata_is_refused(body: bytes) -> None:
    with pytest.raises(FetchFailed) as error:
        parse_metadata(body, ISSUER)
    assert "password" not in str(error.value)


def test_an_issuer_with_a_path_is_found_in_both_ways() -> None:
    issuer = "https://example.org/id"
    asked: list[str] = []

    def perform(effect: Fetch) -> Response:
        asked.append(effect.url)
        found = effect.url == "https://example.org/id/.well-known/oauth-authorization-server"
        body = metadata(issuer=issuer) if found else b""
        return Response(200 if found else 404, {}, body)

    assert drive(discover(issuer, 1.0), perform)
    assert asked == [
        "https://example.org/.well-known/oauth-authorization-server/id",
        "https://example.org/id/.well-known/oauth-authorization-server",
    ]
    with pytest.raises(FetchFailed, match="status 404"):
        drive(discover("https://example.org", 1.0), perform)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"issuer": "http://id.example.org"}, "https"),
        ({"issuer": "id.example.org"}, "issuer"),
        ({"issuer": "https://id.example.org?x=1"}, "query"),
        ({"issuer": "https://a:secret@id.example.org"}, "without credentials"),
        ({"issuer": None}, "issuer"),
        ({"audience": ""}, "audience"),
        ({"audience": None}, "audience"),
        ({"feed": "on"}, "feed"),
        ({"when_stale": "no"}, "when_stale"),
        ({"leeway": -1}, "leeway"),
        ({"max_staleness": 0}, "max_staleness"),
        ({"timeout": 0}, "timeout"),
        ({"cache_size": -1}, "cache_size"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Options(**({"issuer": ISSUER, "audience": AUDIENCE} | options))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:8000", "http://localhost", "http://[::1]:1", "http://a.localhost"]
)
def test_http_is_allowed_on_this_machine(issuer: str) -> None:
    assert Options(issuer=issuer, audience=AUDIENCE)
