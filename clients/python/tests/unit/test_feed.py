"""The follower in virtual time: what is revoked, what continues, what is discarded, and how old the state is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from fake_signet import AUDIENCE, FEED, ISSUER, Driver, FakeSignet, revoked, uuid7

from signet_verify import VerifyError
from signet_verify._follower import MAX_PAUSE, Follower
from signet_verify._frame import FrameError, open_frame
from signet_verify._freshness import Freshness
from signet_verify._jose import KeySet
from signet_verify._revocations import KEEP, Revocations, TokenIds, hash_id
from signet_verify._state import State
from signet_verify.options import Options


class Setup:
    """A server and a follower of it."""

    def __init__(self, **options: Any) -> None:
        self.server = FakeSignet()
        self.state = State(Options(issuer=ISSUER, audience=AUDIENCE, clock=self.server.clock, **options))
        self.driver = Driver(self.server, self.state)

    def follow(self, until: Callable[[], bool]) -> None:
        self.driver.follow(Follower(self.state, rng=lambda: 1.0).run(), until)

    def catch_up(self) -> None:
        """Follow until the state has everything that the server has now."""
        time = self.server.clock.now() * 1000
        end = f"p{len(self.server.log)}"
        self.follow(lambda: self.state.freshness.latest >= time and self.state.position == end)

    def fail(self) -> None:
        """Follow until an error is reported."""
        self.state.error = None
        self.follow(lambda: self.state.error is not None)

    def code(self, token: str) -> str:
        """The code with which a token is refused; empty if it is accepted."""
        try:
            self.driver.run(self.state.verification(token, (), None))
        except VerifyError as error:
            return error.code
        return ""


@pytest.fixture(params=["live", "poll"])
def setup(request: pytest.FixtureRequest) -> Setup:
    return Setup(feed=request.param)


def test_a_session_is_refused_after_the_next_frame(setup: Setup) -> None:
    token = setup.server.token()
    setup.catch_up()
    assert setup.code(token) == ""
    setup.server.revoke(setup.server.claims()["sid"])
    setup.server.revoke(str(setup.state.cache.get(token).claims.sid))  # type: ignore[union-attr]
    setup.server.end_segment()
    setup.catch_up()
    assert setup.code(token) == "revoked"
    # Nothing of it depends on the cache.
    setup.state.cache.drop(token)
    assert setup.code(token) == "revoked"


@pytest.mark.parametrize("name", ["sid", "jti", "client_id", "kid"])
def test_every_id_of_a_token_can_be_revoked(name: str) -> None:
    setup = Setup()
    setup.server.add_key("second")
    claims = setup.server.claims()
    token = setup.server.sign(claims, "second")
    setup.catch_up()
    assert setup.code(token) == ""
    setup.server.revoke("second" if name == "kid" else claims[name])
    setup.catch_up()
    assert setup.code(token) == "revoked"


def test_older_tokens_of_a_user_are_revoked() -> None:
    setup = Setup()
    now = int(setup.server.clock.now() * 1000)
    tokens = {
        at: setup.server.token(sid=uuid7(now + at), jti=uuid7(now + 900_000), exp=now // 1000 + 9000)
        for at in (-1, 0, 1)
    }
    # Without a session, another node may have issued the token with a clock that is 120 seconds ahead.
    clients = {
        at: setup.server.token(sid=..., jti=uuid7(now + at), exp=now // 1000 + 9000) for at in (120_000, 120_001)
    }
    other = setup.server.token(sub="user-2", sid=uuid7(now - 1))
    setup.server.revoke_before("user-1", now)
    setup.catch_up()
    assert [setup.code(tokens[at]) for at in (-1, 0, 1)] == ["revoked", "revoked", ""]
    assert [setup.code(clients[at]) for at in (120_000, 120_001)] == ["revoked", ""]
    assert setup.code(other) == ""


def test_everything_before_a_time_is_revoked(setup: Setup) -> None:
    now = int(setup.server.clock.now() * 1000)
    before, after = setup.server.token(sid=uuid7(now - 1)), setup.server.token(sid=uuid7(now))
    setup.catch_up()
    assert setup.code(before) == ""
    setup.server.not_before = now
    setup.server.clock.advance(1)
    setup.catch_up()
    assert (setup.code(before), setup.code(after)) == ("revoked", "")


def test_a_snapshot_has_what_was_revoked_before_the_start(setup: Setup) -> None:
    claims = setup.server.claims()
    for number in range(9):
        setup.server.revoke(f"session-{number}")
    setup.server.revoke(claims["sid"])
    setup.server.end_segment()
    setup.catch_up()
    assert setup.code(setup.server.sign(claims)) == "revoked"
    assert len(setup.state.revocations) == 10


def test_a_cached_snapshot_proves_nothing(setup: Setup) -> None:
    snapshot = setup.server.feed("/snapshot")[1]
    setup.server.intercept = lambda path, body: snapshot if "snapshot" in path else body
    setup.server.revoke("new")
    setup.server.end_segment()
    setup.follow(lambda: setup.state.position is not None)
    assert setup.state.staleness() == math.inf
    setup.follow(lambda: not setup.state.freshness.never_complete)
    assert setup.state.revocations.has_id(hash_id("new"))


def test_polling_reads_segments_and_no_live_feed() -> None:
    setup = Setup(feed="poll")
    setup.catch_up()
    for _ in range(3):
        setup.server.revoke("a")
        setup.server.end_segment()
    setup.server.requests.clear()
    setup.server.clock.advance(1)
    setup.catch_up()
    feed = [path.rsplit("signet-revocations", 1)[1] for path in setup.server.requests if "signet-rev" in path]
    assert feed == ["", "/e1/segments/p0/p1", "/e1/segments/p1/p2", "/e1/segments/p2/p3"]
    # A head of a cache, which is older than the state, changes nothing.
    setup.server.segment_ends.pop()
    setup.server.clock.advance(1)
    setup.catch_up()
    assert setup.state.position == "p3"


def test_polling_asks_the_live_feed_if_its_segments_are_gone() -> None:
    setup = Setup(feed="poll")
    setup.catch_up()
    for _ in range(5):
        setup.server.revoke("a")
        setup.server.end_segment()
    setup.server.segment_ends = setup.server.segment_ends[3:]
    setup.server.clock.advance(1)
    setup.catch_up()
    assert setup.server.count("/after/p0") == 1


def test_polling_asks_the_live_feed_if_a_segment_is_gone() -> None:
    setup = Setup(feed="poll")
    setup.catch_up()
    setup.server.revoke("a")
    setup.server.end_segment()
    setup.server.segments_gone = True
    setup.server.clock.advance(1)
    setup.catch_up()
    assert setup.server.count("/after/p0") == 1
    assert setup.server.count("/snapshot") == 1


def test_polling_pauses_for_a_second() -> None:
    setup = Setup(feed="poll")
    setup.catch_up()
    began, count = setup.server.clock.monotonic(), len(setup.server.requests)
    setup.follow(lambda: len(setup.server.requests) >= count + 10)
    assert setup.server.clock.monotonic() - began >= 9


def test_a_server_that_does_not_wait_is_asked_ten_times_a_second() -> None:
    setup = Setup()
    setup.catch_up()
    began, count = setup.server.clock.monotonic(), len(setup.server.requests)
    setup.follow(lambda: len(setup.server.requests) >= count + 21)
    assert setup.server.clock.monotonic() - began >= 1.99


def test_a_lost_position_or_another_epoch_means_a_new_snapshot(setup: Setup) -> None:
    setup.catch_up()
    setup.server.revoke("old")
    setup.server.end_segment()
    setup.catch_up()
    for epoch in ("e2", "e3"):
        setup.server.new_epoch(epoch)
        setup.server.revoke("new")
        setup.server.end_segment()
        setup.server.clock.advance(1)
        setup.catch_up()
        assert setup.state.epoch == setup.server.epoch
    assert setup.server.count("/snapshot") == 3
    # What was revoked stays revoked.
    assert setup.state.revocations.has_id(hash_id("old"))
    assert setup.state.revocations.has_id(hash_id("new"))


def test_a_feed_that_never_continues_is_not_asked_in_a_loop(setup: Setup) -> None:
    setup.catch_up()
    setup.server.kept_from = 1000
    setup.server.epoch = "e2"
    setup.server.revoke("a")
    # A cached snapshot is older than the server.
    snapshot = setup.server.feed("/snapshot")[1]
    setup.server.epoch = "e3"
    setup.server.intercept = lambda path, body: snapshot if "snapshot" in path else body
    began, count = setup.server.clock.monotonic(), setup.server.count("/snapshot")
    setup.follow(lambda: setup.server.count("/snapshot") == count + 8)
    assert setup.server.clock.monotonic() - began > 3.1 + MAX_PAUSE


@pytest.mark.parametrize("damage", ["signature", "key", "type", "issuer", "truncated", "text", "large", "kid-revoked"])
def test_a_bad_frame_is_discarded(setup: Setup, damage: str) -> None:
    server = setup.server
    server.add_key("second")
    setup.catch_up()
    bad = server.frame([(revoked("victim", 2_000_000_000), b"")], 0, **{"from": "p0"})
    match damage:
        case "signature":
            bad = bad[:-10] + "AAAAAAAAAA"
        case "key":
            server.add_key("evil")
            server.frame_key = "evil"
            bad = server.frame([(revoked("victim", 2_000_000_000), b"")], 0, **{"from": "p0"})
            del server.keys["evil"]
            server.frame_key = "first"
        case "type":
            bad = server.token()
        case "issuer":
            bad = server.frame([(revoked("victim", 2_000_000_000), b"")], 0, iss="https://evil.example")
        case "truncated":
            bad = bad[: len(bad) // 2]
        case "text":
            bad = "<html>"
        case "large":
            bad = bad.split(".", maxsplit=1)[0] + "." + "A" * 300_000 + "." + "A" * 86
        case "kid-revoked":
            server.revoke("second")
            server.end_segment()
            setup.catch_up()
            server.frame_key = "second"
            bad = server.frame([(revoked("victim", 2_000_000_000), b"")], 1, **{"from": "p1"})
            server.frame_key = "first"
    server.intercept = lambda path, body: f"{bad}\n".encode() if "signet-rev" in path else body
    position, latest = setup.state.position, setup.state.freshness.latest
    server.clock.advance(1)
    setup.fail()
    assert (setup.state.position, setup.state.freshness.latest) == (position, latest)
    assert not setup.state.revocations.has_id(hash_id("victim"))
    # The feed goes on as soon as frames are good again.
    server.intercept = lambda _, body: body
    setup.catch_up()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The frames that are opened from now on."""
    opened: list[bytes] = []

    def open_and_note(text: bytes, *others: Any) -> Any:
        opened.append(text)
        return open_frame(text, *others)

    monkeypatch.setattr("signet_verify._follower.open_frame", open_and_note)
    return opened


@pytest.mark.parametrize("line", ["", "x", "x" * 300_000], ids=["empty", "short", "long"])
def test_the_first_bad_frame_ends_a_response(setup: Setup, opened: list[bytes], line: str) -> None:
    setup.catch_up()
    opened.clear()
    setup.server.intercept = lambda path, body: f"{line}\n".encode() * 50 if "signet-rev" in path else body
    setup.fail()
    # One that is too long is not even copied.
    assert opened == ([line.encode()] if len(line) < 2 else [])


def test_a_repeated_part_ends_a_snapshot(opened: list[bytes]) -> None:
    setup = Setup()
    setup.server.intercept = lambda path, body: (body.split(b"\n")[0] + b"\n") * 50 if "snapshot" in path else body
    setup.fail()
    assert len(opened) == 2
    assert setup.state.position is None


def test_a_gap_adds_entries_but_proves_nothing() -> None:
    setup = Setup()
    setup.catch_up()
    setup.server.revoke("first")
    setup.server.revoke("second")
    setup.server.clock.advance(1)
    gap = setup.server.frame(setup.server.log[1:], 2, **{"from": "p1"})
    latest = setup.state.freshness.latest
    setup.server.intercept = lambda path, body: f"{gap}\n".encode() if "after" in path else body
    setup.fail()
    assert (setup.state.position, setup.state.freshness.latest) == ("p0", latest)
    assert setup.state.revocations.has_id(hash_id("second"))
    setup.server.intercept = lambda _, body: body
    setup.catch_up()
    assert setup.state.revocations.has_id(hash_id("first"))


def test_a_segment_in_place_of_another_frame_proves_nothing(setup: Setup) -> None:
    setup.catch_up()
    setup.server.revoke("other")
    setup.server.end_segment()
    setup.catch_up()
    # A segment does not have it.
    setup.server.not_before = int(setup.server.clock.now() * 1000)
    setup.server.clock.advance(1)
    segment = setup.server.frame(setup.server.log, 1, **{"from": "p0", "jwks": ..., "not_before": ...})
    latest = setup.state.freshness.latest
    feed = FEED.removeprefix(ISSUER)
    setup.server.intercept = lambda path, body: f"{segment}\n".encode() if path.startswith(feed) else body
    setup.fail()
    assert setup.state.freshness.latest == latest
    setup.server.intercept = lambda _, body: body
    setup.catch_up()
    assert setup.state.revocations.not_before == setup.server.not_before


def test_a_snapshot_without_a_part_is_fetched_again() -> None:
    setup = Setup()
    for number in range(4):
        setup.server.revoke(str(number))
    setup.server.intercept = lambda path, body: body.split(b"\n")[0] if "snapshot" in path else body
    setup.fail()
    assert setup.state.position is None
    assert setup.state.staleness() == math.inf
    setup.server.intercept = lambda _, body: body
    setup.catch_up()
    assert len(setup.state.revocations) == 4


def test_silence_is_stale_and_a_replay_does_not_hide_it(setup: Setup) -> None:
    setup.catch_up()
    token = setup.server.token()
    body = setup.server.feed("" if setup.state.options.feed == "poll" else "/e1/after/p0")[1]
    setup.server.intercept = lambda path, fresh: body if "signet-rev" in path else fresh
    began = setup.server.clock.monotonic()
    setup.follow(lambda: setup.server.clock.monotonic() > began + 9)
    assert setup.code(token) == ""
    setup.follow(lambda: setup.server.clock.monotonic() > began + 11)
    assert setup.code(token) == "stale"
    assert not setup.state.health().ready
    setup.server.intercept = lambda _, fresh: fresh
    setup.catch_up()
    assert setup.code(token) == ""
    assert setup.state.health().ready


def test_errors_cause_growing_pauses_and_are_reported_once(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    setup.catch_up()
    setup.server.down = True
    began, count = setup.server.clock.monotonic(), len(setup.driver.fetched)
    setup.follow(lambda: len(setup.driver.fetched) == count + 10)
    # 0.1, 0.2, … 1.6, then 2 seconds.
    assert setup.server.clock.monotonic() - began == pytest.approx(3.1 + 5 * MAX_PAUSE, abs=1.1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert setup.state.health().error == "down"
    setup.server.down = False
    setup.catch_up()
    setup.follow(lambda: setup.state.error is None)
    assert setup.state.health().error is None


def test_a_node_without_its_store_is_asked_after_its_pause(setup: Setup) -> None:
    setup.catch_up()
    setup.server.feed_status = 503
    began, count = setup.server.clock.monotonic(), len(setup.server.requests)
    setup.follow(lambda: len(setup.server.requests) == count + 3)
    assert setup.server.clock.monotonic() - began >= 14


def test_a_feed_that_is_turned_off_is_reported(setup: Setup) -> None:
    setup.catch_up()
    setup.server.feed_status = 404
    setup.fail()
    assert setup.state.error == "the revocation feed is turned off"


def test_a_server_without_a_feed_is_stale_until_it_has_one(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.server.metadata_changes = {"revocation_feed_uri": None}
    setup.fail()
    assert "no revocation feed" in caplog.text
    token = setup.server.token()
    assert setup.code(token) == "stale"
    assert (setup.state.health().feed, setup.state.health().ready) == ("absent", False)
    setup.server.metadata_changes = {}
    setup.catch_up()
    assert setup.code(token) == ""
    assert (setup.state.health().feed, setup.state.health().ready) == ("live", True)


def test_without_a_feed_tokens_are_accepted_if_that_is_allowed() -> None:
    setup = Setup(when_stale="allow")
    setup.server.metadata_changes = {"revocation_feed_uri": None}
    setup.fail()
    assert setup.code(setup.server.token()) == ""


def test_a_new_key_is_fetched_when_the_feed_says_so(setup: Setup) -> None:
    setup.catch_up()
    count = setup.server.count("jwks.json")
    setup.server.add_key("second")
    setup.server.clock.advance(1)
    setup.catch_up()
    assert setup.server.count("jwks.json") == count + 1
    assert setup.driver.fetched[-1].url == FEED or any(
        fetch.headers.get("Cache-Control") == "no-cache" for fetch in setup.driver.fetched
    )
    assert setup.code(setup.server.token("second")) == ""
    assert setup.server.count("jwks.json") == count + 1


def test_a_key_that_is_gone_takes_its_cached_tokens_along(setup: Setup) -> None:
    setup.server.add_key("second")
    setup.catch_up()
    token = setup.server.token("second")
    assert setup.code(token) == ""
    del setup.server.keys["second"]
    setup.server.clock.advance(1)
    setup.catch_up()
    assert setup.code(token) == "unknown_key"


def test_frames_of_a_new_key_are_accepted(setup: Setup) -> None:
    setup.catch_up()
    setup.server.add_key("second")
    setup.server.frame_key = "second"
    setup.server.clock.advance(1)
    setup.catch_up()


def test_the_feed_keeps_the_key_set_valid(setup: Setup) -> None:
    setup.server.cache_control = "max-age=30"
    setup.catch_up()
    began, count = setup.server.clock.monotonic(), setup.server.count("jwks.json")
    for _ in range(50):
        setup.server.clock.advance(1)
        setup.catch_up()
    assert setup.server.clock.monotonic() - began >= 50
    assert setup.server.count("jwks.json") == count


def test_a_clock_that_is_off_is_reported(setup: Setup) -> None:
    real = setup.server.frame
    setup.server.frame = lambda *a, **k: real(*a, **({"time": int((setup.server.clock.now() - 121) * 1000)} | k))  # type: ignore[method-assign]
    setup.fail()
    assert setup.state.error is not None
    assert "clock" in setup.state.error
    assert setup.code(setup.server.token()) == "stale"


def test_a_clock_that_is_off_by_90_seconds_does_no_harm(setup: Setup) -> None:
    setup.server.clock.wall -= 90
    real = setup.server.frame
    setup.server.frame = lambda *a, **k: real(*a, **({"time": int((setup.server.clock.now() + 90) * 1000)} | k))  # type: ignore[method-assign]
    setup.follow(lambda: setup.state.position == "p0" and not setup.state.freshness.never_complete)
    assert setup.state.staleness() < 1


def test_a_clock_that_is_ahead_for_a_while_loses_no_revocation(setup: Setup) -> None:
    sid = uuid7(int(setup.server.clock.now() * 1000))
    token = setup.server.token(sid=sid)
    setup.server.revoke(sid)
    setup.server.end_segment()
    setup.catch_up()
    ahead, real = 7200, setup.server.frame
    setup.server.clock.wall += ahead
    setup.server.frame = lambda *a, **k: real(*a, **({"time": int((setup.server.clock.now() - ahead) * 1000)} | k))  # type: ignore[method-assign]
    setup.fail()
    setup.server.clock.wall -= ahead
    setup.server.frame = real  # type: ignore[method-assign]
    setup.server.clock.advance(1)
    setup.catch_up()
    assert setup.code(token) == "revoked"


def test_staleness_follows_the_page() -> None:
    freshness = Freshness()

    def staleness(now: float) -> float:
        # The wall clock was 2000 at 1350 of the monotonic clock.
        return freshness.staleness(now, now + 650)

    assert staleness(0) == math.inf
    assert freshness.complete(1000, 50.0, 1000.0)
    assert staleness(50.0) == 0
    # The second frame was delayed by 300 ms, and then shows that the first was by 100 ms.
    assert freshness.complete(2000, 1350.0, 2000.0)
    assert staleness(1350.0) == 300
    assert freshness.complete(3000, 1950.0, 3000.0)
    assert staleness(1950.0) == 0
    # A replay changes nothing.
    assert freshness.complete(2000, 2950.0, 4000.0)
    assert staleness(2950.0) == 1000
    assert not freshness.complete(200_000, 2950.0, 4000.0)
    # After an hour, the drift of the clocks is forgotten.
    hour = 3_600_000
    assert freshness.complete(3000 + hour, 1990.0 + hour + 60_000 - 60_000, 3000.0 + hour)
    assert staleness(1990.0 + hour) == pytest.approx(0, abs=41)
    # The machine sleeps, and the monotonic clock stands still.
    assert freshness.staleness(1990.0 + hour, 63_000.0 + hour) == 60_000


def test_entries_end() -> None:
    revocations = Revocations()
    revocations.add_id(b"a" * 12, 1000)
    revocations.add_id(b"b" * 12, 1000)
    revocations.add_id(b"b" * 12, 5000)
    revocations.add_sub(b"c" * 12, 7, 1000)
    revocations.add_sub(b"d" * 12, 7, 1000)
    revocations.add_sub(b"d" * 12, 3, 5000)
    revocations.sweep(1000 + KEEP)
    assert len(revocations) == 4
    revocations.sweep(1100 + KEEP)
    assert not revocations.has_id(b"a" * 12)
    assert revocations.has_id(b"b" * 12)
    assert revocations.covers(TokenIds((), b"d" * 12, 7, dated_by_session=True))
    assert not revocations.covers(TokenIds((), b"c" * 12, 7, dated_by_session=True))
    revocations.sweep(6000 + KEEP)
    assert len(revocations) == 0
    assert not revocations._ending


def test_an_entry_keeps_the_later_values() -> None:
    revocations = Revocations()
    version = revocations.version
    revocations.add_sub(b"a" * 12, 7, 1000)
    assert revocations.version > version
    revocations.add_sub(b"a" * 12, 5, 500)
    assert revocations._subs[b"a" * 12] == (7, 1000)
    revocations.add_sub(b"a" * 12, 9, 500)
    assert revocations._subs[b"a" * 12] == (9, 1000)
    revocations.add_id(b"a" * 12, 7)
    version = revocations.version
    revocations.add_id(b"a" * 12, 7)
    revocations.add_id(b"a" * 12, 8)
    assert revocations.version == version


@pytest.mark.parametrize(
    "members",
    [
        {"time": -1},
        {"time": "1"},
        {"time": ...},
        {"time": True},
        {"epoch": ".."},
        {"epoch": "a/b"},
        {"to": ""},
        {"to": "x" * 65},
        {"to": "p1\n"},
        {"from": 5},
        {"not_before": None},
        {"jwks": "AAAA"},
        {"revoked": "AAAA"},
        {"revoked": "!"},
        {"revoked": ["x"]},
        {"revoked_before": "A" * 28},
        {"revoked": "A" * 64 * 4096},
        {"segments": "p1"},
        {"segments": ["p 1"]},
        {"part": 2},
        {"part": 0},
        {"parts": 10**9},
    ],
)
def test_a_malformed_payload_is_refused(members: dict[str, Any]) -> None:
    server = FakeSignet()
    keys = KeySet.parse(server.jwks())
    assert open_frame(server.frame([], 1, more={"unknown": 1}).encode(), keys, Revocations(), ISSUER)
    frame = server.frame([], 1, **members)
    with pytest.raises(FrameError):
        open_frame(frame.encode(), keys, Revocations(), ISSUER)
