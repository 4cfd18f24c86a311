"""A Signet in memory: metadata, keys, tokens, the revocation feed and ``/verify/batch``, without a network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from signet_verify._effects import Fetch, FetchFailed, Flow, LoadKeys, RefetchKeys, RenewKeys, Response, Sleep, drive
from signet_verify._state import State

ISSUER = "https://id.example.org"
AUDIENCE = "notes"
FEED = f"{ISSUER}/.well-known/signet-revocations"

T = TypeVar("T")
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey


class TestClock:
    """A clock that tests set."""

    __test__ = False

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.uptime = 5_000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.uptime

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hash_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:12]


def uuid7(milliseconds: int) -> str:
    random = uuid.uuid4().int & ((1 << 74) - 1)
    bits = (milliseconds << 80) | (7 << 76) | ((random >> 62) << 64) | (2 << 62) | (random & ((1 << 62) - 1))
    return str(uuid.UUID(int=bits))


def revoked(text: str, until: int) -> bytes:
    return hash_of(text) + until.to_bytes(4, "big")


def revoked_before(sub: str, before: int, until: int) -> bytes:
    return hash_of(sub) + before.to_bytes(6, "big") + until.to_bytes(4, "big")


class FakeSignet:
    """The server. `requests` lists the paths that were requested, newest last."""

    def __init__(self, clock: TestClock | None = None) -> None:
        self.clock = clock or TestClock()
        self.keys: dict[str, PrivateKey] = {}
        self.add_key("first")
        self.frame_key = "first"
        self.epoch = "e1"
        self.log: list[tuple[bytes, bytes]] = []
        self.kept_from = 0
        self.not_before = 0
        self.segment_ends = [0]
        self.requests: list[str] = []
        self.cache_control = "public, max-age=300, stale-if-error=600"
        self.metadata_changes: dict[str, Any] = {}
        self.down = False
        self.segments_gone = False
        self.feed_status = 200
        self.batch_status = 200
        self.report_status = 204
        self.reports: list[dict[str, Any]] = []
        self.intercept: Callable[[str, bytes], bytes] = lambda _, body: body

    # Keys and tokens

    def add_key(self, kid: str, *, es256: bool = False) -> None:
        self.keys[kid] = generate_private_key(SECP256R1()) if es256 else Ed25519PrivateKey.generate()

    def jwks(self) -> bytes:
        listed = []
        for kid, key in self.keys.items():
            jwk: dict[str, Any]
            if isinstance(key, Ed25519PrivateKey):
                jwk = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"alg": "EdDSA"}
            else:
                jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"alg": "ES256"}
            listed.append(jwk | {"kid": kid, "use": "sig"})
        return json.dumps({"keys": listed}).encode()

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(self.clock.now())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": "user-1",
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + 600,
            "jti": uuid7(now * 1000),
            "sid": uuid7(now * 1000),
            "client_id": "app",
            "auth_time": now,
            "scope": "notes:read notes:write",
            "email": "ada@example.org",
            "email_verified": True,
        } | changes
        return {name: value for name, value in claims.items() if value is not ...}

    def token(self, kid: str = "first", header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token; a claim or header member with the value ``...`` is left out."""
        return self.sign(self.claims(**changes), kid, header)

    def sign(self, payload: dict[str, Any], kid: str = "first", header: dict[str, Any] | None = None) -> str:
        key = self.keys[kid]
        alg = "EdDSA" if isinstance(key, Ed25519PrivateKey) else "ES256"
        members = {"alg": alg, "typ": "at+jwt", "kid": kid} | (header or {})
        return self.sign_raw(
            json.dumps({name: value for name, value in members.items() if value is not ...}).encode(),
            json.dumps(payload).encode(),
            kid,
        )

    def sign_raw(self, header: bytes, payload: bytes, kid: str = "first") -> str:
        key = self.keys[kid]
        message = f"{base64url(header)}.{base64url(payload)}"
        if isinstance(key, Ed25519PrivateKey):
            signature = OKPAlgorithm().sign(message.encode(), key)
        else:
            signature = ECAlgorithm(ECAlgorithm.SHA256).sign(message.encode(), key)
        return f"{message}.{base64url(signature)}"

    # The feed

    def revoke(self, id_: str, until: int | None = None) -> None:
        self.log.append((revoked(id_, until or int(self.clock.now()) + 600), b""))

    def revoke_before(self, sub: str, before: int) -> None:
        self.log.append((b"", revoked_before(sub, before, int(self.clock.now()) + 600)))

    def end_segment(self) -> None:
        if self.segment_ends[-1] != len(self.log):
            self.segment_ends.append(len(self.log))

    def new_epoch(self, epoch: str) -> None:
        self.epoch, self.log, self.segment_ends, self.kept_from = epoch, [], [0], 0

    def frame(self, entries: list[tuple[bytes, bytes]], to: int, /, **members: Any) -> str:
        payload: dict[str, Any] = {
            "iss": ISSUER,
            "time": int(self.clock.now() * 1000),
            "epoch": self.epoch,
            "to": f"p{to}",
            "not_before": self.not_before,
            "jwks": base64url(hashlib.sha256(self.jwks()).digest()[:12]),
            "revoked": base64url(b"".join(one for one, _ in entries)),
            "revoked_before": base64url(b"".join(one for _, one in entries)),
        } | members
        payload = {name: value for name, value in payload.items() if value is not ... and value != ""}
        header = {"alg": "EdDSA", "typ": "signet-revocations+jws", "kid": self.frame_key}
        # PyJWT, so that frames are what a common library makes.
        return jwt.encode(payload, self.keys[self.frame_key], algorithm="EdDSA", headers=header)

    def feed(self, path: str) -> tuple[int, bytes]:
        if self.feed_status != 200:
            return self.feed_status, b""
        end = len(self.log)
        match path.strip("/").split("/"):
            case [""]:
                segments = [f"p{at}" for at in self.segment_ends]
                to = self.segment_ends[-1]
                return 200, self.frame([], to, **{"from": f"p{to}"}, segments=segments).encode() + b"\n"
            case ["snapshot"]:
                half = end // 2
                parts = [self.log[:half], self.log[half:]]
                lines = [self.frame(part, end, part=at + 1, parts=2) for at, part in enumerate(parts)]
                return 200, "".join(f"{line}\n" for line in lines).encode()
            case [epoch, "after", position]:
                start = int(position[1:])
                if epoch != self.epoch or not self.kept_from <= start <= end:
                    return 410, b""
                return 200, self.frame(self.log[start:], end, **{"from": position}).encode() + b"\n"
            case [epoch, "segments", first, last]:
                start, stop = int(first[1:]), int(last[1:])
                if epoch != self.epoch or start < self.kept_from or self.segments_gone:
                    return 410, b""
                old = int(self.clock.now() * 1000) - 200_000
                members: dict[str, Any] = {"from": first, "jwks": ..., "not_before": ..., "time": old}
                return 200, self.frame(self.log[start:stop], stop, **members).encode() + b"\n"
        return 404, b""

    # HTTP

    def respond(self, url: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        path = url.removeprefix(ISSUER)
        self.requests.append(path)
        headers: dict[str, str] = {}
        if path == "/.well-known/oauth-authorization-server":
            metadata = {
                "issuer": ISSUER,
                "jwks_uri": f"{ISSUER}/.well-known/jwks.json",
                "revocation_feed_uri": FEED,
            } | self.metadata_changes
            return 200, headers, json.dumps(metadata).encode()
        if path == "/.well-known/jwks.json":
            return 200, {"Cache-Control": self.cache_control}, self.intercept(path, self.jwks())
        if path == "/verify/batch":
            results = [self.verdict(token) for token in json.loads(body or b"")["tokens"]]
            return self.batch_status, headers, json.dumps({"results": results}).encode()
        if url == f"{FEED}/followers":
            self.reports.append(json.loads(body or b""))
            return self.report_status, headers, b""
        if url.startswith(FEED):
            status, text = self.feed(url.removeprefix(FEED))
            if status == 503:
                headers["Retry-After"] = "7"
            return status, headers, self.intercept(path, text)
        return 404, headers, b""

    def verdict(self, token: str) -> dict[str, Any]:
        claims = jwt.decode(token, options={"verify_signature": False})
        known = {entry[:12] for entry, _ in self.log}
        if hash_of(claims.get("sid", "")) in known:
            return {"active": False, "reason": "revoked"}
        return {"active": True, "claims": claims}

    def count(self, path: str) -> int:
        return sum(path in request for request in self.requests)

    def handle(self, request: httpx.Request) -> httpx.Response:
        """For `httpx.MockTransport`."""
        if self.down:
            raise httpx.ConnectError("refused")
        status, headers, body = self.respond(str(request.url), request.read())
        if status == 200 and body and "gzip" in request.headers["accept-encoding"]:
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        return httpx.Response(status, headers=headers, content=body)


class Driver:
    """Drives flows in virtual time: a pause advances the clock, a request only if it fails after `timeout` seconds."""

    def __init__(self, server: FakeSignet, state: State, timeout: float = 0.0) -> None:
        self.server, self.state, self.timeout = server, state, timeout
        self.fetched: list[Fetch] = []
        self.slept = 0.0

    def perform(self, effect: object) -> Any:
        match effect:
            case Fetch():
                self.fetched.append(effect)
                if self.server.down:
                    self.server.clock.advance(self.timeout)
                    raise FetchFailed("down")
                status, headers, body = self.server.respond(effect.url, effect.body)
                return Response(status, {name.lower(): value for name, value in headers.items()}, body)
            case Sleep(seconds):
                self.slept += seconds
                self.server.clock.advance(seconds)
            case LoadKeys() | RenewKeys():
                return drive(self.state.loading(), self.perform)
            case RefetchKeys(version):
                return drive(self.state.refetching(version), self.perform)
        return None

    def run(self, flow: Flow[T]) -> T:
        return drive(flow, self.perform)

    def follow(self, flow: Flow[None], until: Callable[[], bool], *, limit: int = 2000) -> None:
        """Drive a follower until a condition holds before it continues."""

        def perform(effect: object) -> Any:
            nonlocal limit
            limit -= 1
            assert limit > 0, "the condition does not come true"
            result = self.perform(effect)
            if until():
                raise Reached
            return result

        try:
            drive(flow, perform)
        except Reached:
            flow.close()


class Reached(BaseException):
    """Ends a flow that never ends by itself."""
