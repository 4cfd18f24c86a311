"""The cases of clients/vectors, which every verifier of Signet's tokens passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from signet_verify import Claims, VerifyError
from signet_verify._effects import Effect, Fetch, FetchFailed, Response, drive
from signet_verify._follower import Follower
from signet_verify._frame import FrameError, open_frame
from signet_verify._jose import KeySet, Malformed
from signet_verify._metadata import Metadata
from signet_verify._revocations import Revocations
from signet_verify._state import State
from signet_verify._token import verify_token
from signet_verify.options import Options

VECTORS = Path(__file__).parents[3] / "vectors"
KEYS = KeySet.parse((VECTORS / "keys.json").read_bytes())
TOKENS: dict[str, Any] = json.loads((VECTORS / "tokens.json").read_text())
KEY_SETS: list[dict[str, Any]] = json.loads((VECTORS / "key_sets.json").read_text())["key_sets"]
FEED: dict[str, Any] = json.loads((VECTORS / "frames.json").read_text())


def _verify(token: str, options: dict[str, Any]) -> Claims:
    verified = verify_token(token, KEYS, issuer=options["issuer"], audience=options["audience"])
    verified.check_time(options["now"], options["leeway"])
    verified.claims.require(scopes=options["scopes"], subject=options["subject"])
    return verified.claims


def _named(claims: Claims) -> dict[str, Any]:
    names = ("sub", "sid", "jti", "client_id", "email", "email_verified", "issued_at", "expires_at", "auth_time")
    named = {name: getattr(claims, name) for name in names}
    return named | {"scopes": sorted(claims.scopes), "audience": list(claims.audience), "is_user": claims.is_user}


@pytest.mark.parametrize("case", TOKENS["tokens"], ids=lambda case: case["name"])
def test_a_token(case: dict[str, Any]) -> None:
    options = TOKENS["defaults"] | case.get("options", {})
    expected = case["expect"]
    if "error" in expected:
        with pytest.raises(VerifyError) as refused:
            _verify(case["token"], options)
        assert refused.value.code == expected["error"]
    else:
        claims = _named(_verify(case["token"], options))
        assert {name: claims[name] for name in expected["claims"]} == expected["claims"]


@pytest.mark.parametrize("case", KEY_SETS, ids=lambda case: case["name"])
def test_a_key_set(case: dict[str, Any]) -> None:
    document = case["document"].encode()
    if case["keys"] is None:
        with pytest.raises(Malformed):
            KeySet.parse(document)
    else:
        keys = KeySet.parse(document)
        found = {kid: key.algorithm for kid in ("ed", "ed-2", "ec", "small", "enc", "rsa") if (key := keys.get(kid))}
        assert (found, len(keys)) == (case["keys"], len(found))


@pytest.mark.parametrize("case", FEED["frames"], ids=lambda case: case["name"])
def test_a_frame(case: dict[str, Any]) -> None:
    def read() -> None:
        open_frame(case["frame"].encode(), KEYS, Revocations(), FEED["issuer"])

    if case["accepted"]:
        read()
    else:
        with pytest.raises(FrameError):
            read()


class _Clock:
    def __init__(self) -> None:
        self.step: dict[str, Any] = {"wall": 0, "monotonic": 0}

    def now(self) -> float:
        return float(self.step["wall"]) / 1000

    def monotonic(self) -> float:
        return float(self.step["monotonic"]) / 1000


@pytest.mark.parametrize("sequence", FEED["sequences"], ids=lambda sequence: sequence["name"])
def test_a_sequence_of_responses(sequence: dict[str, Any]) -> None:
    clock = _Clock()
    state = State(Options(issuer=FEED["issuer"], audience=FEED["audience"], clock=clock))
    state.keys, state.metadata = KEYS, Metadata("", "", None)
    state._keys_age = state._keys_expire = 1e12
    follower = Follower(state)

    def perform(effect: Effect) -> Response | None:
        if not isinstance(effect, Fetch):
            return None
        frames = clock.step["documents"].get(effect.url.removeprefix("/"))
        if frames is None:
            return Response(410, {}, b"")
        return Response(200, {}, "".join(f"{frame}\n" for frame in frames).encode())

    for step in sequence["steps"]:
        clock.step, expected = step, step["expect"]
        follower._complaint = None
        try:
            drive(follower._step(), perform)
            failed = follower._complaint is not None
        except (FrameError, FetchFailed, VerifyError):
            failed = True
        assert failed is expected.get("error", failed)
        if expected["epoch"] is not None:
            assert (state.epoch, state.position) == (expected["epoch"], expected["position"])
        if "staleness" in expected:
            assert round(state.staleness() * 1000) == expected["staleness"]
        revoked = []
        for name, token in FEED["tokens"].items():
            verified = verify_token(token, KEYS, issuer=FEED["issuer"], audience=FEED["audience"])
            if state.revocations.covers(verified.ids):
                revoked.append(name)
        assert sorted(revoked) == sorted(expected["revoked"])
