"""Reports of what was read of the feed."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from typing import Any

import httpx
import pytest
from fake_signet import AUDIENCE, ISSUER, Driver, FakeSignet

from signet_verify._effects import LoadKeys, RefetchKeys
from signet_verify._follower import Follower
from signet_verify._reporter import Reporter
from signet_verify._state import State
from signet_verify.aio import AsyncVerifier
from signet_verify.options import Options
from signet_verify.verifier import Verifier

REPORT: dict[str, Any] = {"report_as": "notes-1:7", "report_key": "sk_test"}


class Setup:
    """A server, the state of a follower that has read everything, and its reporter."""

    def __init__(self) -> None:
        self.server = FakeSignet()
        self.server.revoke("s1")
        self.state = State(Options(issuer=ISSUER, audience=AUDIENCE, clock=self.server.clock, **REPORT))
        self.driver = Driver(self.server, self.state)
        follower = Follower(self.state, rng=lambda: 1.0).run()
        self.driver.follow(follower, lambda: not self.state.freshness.never_complete)
        self.reporter = Reporter(self.state, rng=lambda: 1.0)

    def run(self, seconds: float) -> None:
        """Run the reporter for so many virtual seconds."""
        end = self.server.clock.monotonic() + seconds
        self.driver.follow(self.reporter.run(), lambda: self.server.clock.monotonic() >= end)


def test_reports_are_sent_once_a_minute_and_when_the_keys_change() -> None:
    setup = Setup()
    server = setup.server
    setup.run(5)
    fetch = setup.driver.fetched[-1]
    assert fetch.headers["Authorization"] == "Bearer sk_test"
    assert "sk_test" not in repr(fetch)
    (report,) = server.reports
    assert re.fullmatch(r"[\w-]{16}", report.pop("jwks"))
    assert report == {
        "name": "notes-1:7",
        "epoch": "e1",
        "position": "p1",
        "time": int(setup.state.freshness.latest),
    }
    setup.run(45)
    assert len(server.reports) == 1
    setup.run(15)
    assert len(server.reports) == 2
    server.add_key("second")
    setup.driver.perform(LoadKeys())
    setup.driver.perform(RefetchKeys(setup.state.keys_version))
    setup.run(5)
    assert len(server.reports) == 3
    assert server.reports[2]["jwks"] != server.reports[1]["jwks"]


def test_nothing_is_reported_before_the_first_snapshot() -> None:
    setup = Setup()
    setup.state.position = None
    setup.run(10)
    assert setup.server.reports == []


def test_a_report_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.server.report_status = 403
    with caplog.at_level(logging.WARNING):
        setup.run(200)
    assert len(setup.server.reports) == 4
    assert [record.getMessage() for record in caplog.records] == [
        "cannot report what was read of the revocation feed: status 403"
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"report_as": "notes"},
        {"report_key": "sk_test"},
        {**REPORT, "report_as": ""},
        {**REPORT, "report_as": "a b"},
        {**REPORT, "report_key": "a\nb"},
    ],
)
def test_a_name_and_a_key_are_needed(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="report_"):
        Options(issuer=ISSUER, audience=AUDIENCE, **wrong)


class Live:
    """A server whose first report ends the wait of a test."""

    def __init__(self) -> None:
        self.server = FakeSignet()
        self.reported = threading.Event()

    def handle(self, request: httpx.Request) -> httpx.Response:
        response = self.server.handle(request)
        if self.server.reports:
            self.reported.set()
        return response

    def options(self) -> dict[str, Any]:
        return {"issuer": ISSUER, "audience": AUDIENCE, "clock": self.server.clock, **REPORT}


def test_the_thread_reports() -> None:
    live = Live()
    client = httpx.Client(transport=httpx.MockTransport(live.handle))
    with Verifier(http_client=client, **live.options()):
        assert live.reported.wait(60)


def test_the_task_reports() -> None:
    live = Live()

    async def run() -> bool:
        client = httpx.AsyncClient(transport=httpx.MockTransport(live.handle))
        async with AsyncVerifier(http_client=client, **live.options()):
            return await asyncio.to_thread(live.reported.wait, 60)

    assert asyncio.run(run())
