"""Compact JWS and JWK as Signet writes them: strict parsing, and signatures by PyJWT's algorithms.

PyJWT alone would also decode base64 with foreign characters, JSON with duplicate members, and refuse a whole key set
because of one key with ``"alg": "Ed25519"``. Knows nothing of claims or revocations.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Any, Final

from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm
from jwt.exceptions import PyJWTError

#: Names of the algorithms that tokens may have, and the one under which the key is known (RFC 9864 renamed EdDSA).
ALGORITHMS: Final = {"EdDSA": "EdDSA", "Ed25519": "EdDSA", "ES256": "ES256"}

#: A key set with more keys is cut: Signet has at most a handful.
MAX_KEYS: Final = 100

_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]*\Z")

# Members by which a token could bring its own key or its own rules (RFC 8725).
_FORBIDDEN: Final = ("crit", "b64", "jku", "jwk", "x5u", "x5c", "zip")

_VERIFIERS: Final[dict[str, Algorithm]] = {"EdDSA": OKPAlgorithm(), "ES256": ECAlgorithm(ECAlgorithm.SHA256)}


class Malformed(ValueError):
    """The text is not what it should be. The message names the part, never its content."""


def decode_base64url(text: bytes) -> bytes:
    """Decode base64url without padding; refuses foreign characters and unused bits."""
    if not _BASE64URL.match(text) or len(text) % 4 == 1:
        raise Malformed("not base64url")
    try:
        decoded = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise Malformed("not base64url") from None
    # The last character has two or four unused bits, which must be zero: otherwise a signature has several texts.
    unused = {2: 0x0F, 3: 0x03}.get(len(text) % 4)
    if unused is not None and _SEXTETS[text[-1]] & unused:
        raise Malformed("not base64url")
    return decoded


_SEXTETS: Final = {
    character: value
    for value, character in enumerate(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("duplicate member")
    return members


def _no_constant(_: str) -> None:
    raise Malformed("not a JSON number")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def parse_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object; refuses duplicate members, ``NaN`` and anything that is not UTF-8."""
    try:
        value = _DECODER.decode(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    return value


# The encodings of points of small order of Ed25519 without the sign of x: those of orders 1, 2, 4 and 8, and two that
# are not reduced. Anyone can forge signatures of such a key.
_SMALL_ORDER: Final = frozenset(
    {
        bytes([1]) + bytes(31),
        b"\xec" + b"\xff" * 30 + b"\x7f",
        bytes(32),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        b"\xed" + b"\xff" * 30 + b"\x7f",
        b"\xee" + b"\xff" * 30 + b"\x7f",
    }
)


def _has_small_order(point: bytes) -> bool:
    return point[:31] + bytes([point[31] & 0x7F]) in _SMALL_ORDER if len(point) == 32 else False


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of the key set. ``algorithm`` belongs to the key: no token chooses it."""

    kid: str
    algorithm: str
    jwk: str = field(repr=False)
    public_key: Any = field(repr=False, compare=False)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is that of the message. Raises `Malformed` if it is none at all."""
        # Both algorithms have signatures of 64 bytes.
        if len(signature) != 64:
            raise Malformed("signature")
        # Only the owner of a key can make a signature with such a beginning. The other verifiers refuse it.
        if self.algorithm == "EdDSA" and _has_small_order(signature[:32]):
            return False
        return _VERIFIERS[self.algorithm].verify(message, self.public_key, signature)


@dataclass(frozen=True, slots=True)
class Jws:
    """A parsed compact JWS, whose signature is not verified yet."""

    header: dict[str, Any]
    payload: bytes
    message: bytes
    signature: bytes


def parse_jws(text: bytes) -> Jws:
    """Parse a compact JWS. Refuses header members that would need processing or name a key themselves."""
    parts = text.split(b".", 3)
    if len(parts) != 3:
        raise Malformed("not a compact JWS")
    header = parse_object(decode_base64url(parts[0]))
    if not header.keys().isdisjoint(_FORBIDDEN):
        raise Malformed("forbidden header member")
    payload, signature = decode_base64url(parts[1]), decode_base64url(parts[2])
    return Jws(header, payload, text[: len(parts[0]) + 1 + len(parts[1])], signature)


def parse_key(jwk: object) -> Key | None:
    """Parse a public key; None if it is of a kind that signs no access tokens."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    kid, alg = jwk.get("kid"), jwk.get("alg")
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            algorithm = "EdDSA"
        case "EC", "P-256":
            algorithm = "ES256"
        case _:
            return None
    if not isinstance(kid, str) or (alg is not None and ALGORITHMS.get(str(alg)) != algorithm):
        return None
    members = {name: jwk.get(name) for name in ("kty", "crv", "x", "y") if name in jwk}
    try:
        if algorithm == "EdDSA" and _has_small_order(decode_base64url(str(members["x"]).encode("ascii"))):
            return None
        public_key = _VERIFIERS[algorithm].from_jwk(members)
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return Key(kid, algorithm, json.dumps(members, sort_keys=True), public_key)


class KeySet:
    """The keys of a JWKS by ``kid``, and the hash by which the feed names this key set."""

    def __init__(self, keys: dict[str, Key], digest: bytes) -> None:
        self._keys = keys
        self.digest = digest

    @classmethod
    def parse(cls, body: bytes) -> KeySet:
        """Parse a JWKS. Keys of other kinds are skipped."""
        try:
            jwks = json.loads(body)
        except (ValueError, RecursionError):
            raise Malformed("the key set is not JSON") from None
        listed = jwks.get("keys") if isinstance(jwks, dict) else None
        if not isinstance(listed, list):
            raise Malformed("the key set has no keys")
        keys: dict[str, Key] = {}
        for jwk in listed[:MAX_KEYS]:
            key = parse_key(jwk)
            if key is not None:
                keys.setdefault(key.kid, key)
        return cls(keys, hashlib.sha256(body).digest()[:12])

    def get(self, kid: str) -> Key | None:
        """The key with this id."""
        return self._keys.get(kid)

    def __len__(self) -> int:
        return len(self._keys)
