"""Compact JWS and JWK as Signet writes them: strict parsing, and signatures by PyJWT's algorithms.

PyJWT alone would also decode base64 with foreign characters, JSON with duplicate members, and refuse a whole key set
because of one key with ``"alg": "Ed25519"``. What other implementations could read differently is refused. Knows
nothing of claims or revocations.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jwt.algorithms import Algorithm, ECAlgorithm, OKPAlgorithm
from jwt.exceptions import PyJWTError

#: Names of the algorithms that tokens may have, and the one under which the key is known (RFC 9864 renamed EdDSA).
ALGORITHMS: Final = {"EdDSA": "EdDSA", "Ed25519": "EdDSA", "ES256": "ES256"}

#: A key set with more keys is refused: Signet has at most a handful.
MAX_KEYS: Final = 64

#: Objects and lists may be nested so deep, as in the other verifiers.
MAX_DEPTH: Final = 127

#: The largest whole number that all implementations read as the same.
MAX_INTEGER: Final = 2**53 - 1

#: The bytes of a public key, or of one of its two coordinates.
_KEY_LENGTH: Final = 32

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
        raise Malformed("JSON with a duplicate member")
    return members


def _no_constant(_: str) -> None:
    raise Malformed("not JSON")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Malformed("JSON with a number that is too large")
    return number


def _int(text: str) -> int | float:
    # Minus zero is no integer in other languages. A longer number may be too large for them.
    return _float(text) if text == "-0" or len(text) > _MAX_DIGITS else int(text)


_MAX_DIGITS: Final = 300

_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_float, parse_int=_int
)

_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


def parse_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Refuses duplicate members, ``NaN``, numbers that are too large, half characters, deep nesting, and anything that is
    not UTF-8.
    """
    try:
        decoded = text.decode("utf-8")
        value = _DECODER.decode(decoded)
        if "\\u" in decoded:
            # Fails for half of a character.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    # Fewer brackets cannot be nested deeper.
    if decoded.count("{") + decoded.count("[") > MAX_DEPTH and _depth(decoded) > MAX_DEPTH:
        raise Malformed("JSON that is nested too deep")
    return value


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in _TEXT.sub("", text):
        if character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def whole_number(members: Mapping[str, Any], name: str) -> int | None:
    """A member that is a whole number and written as one; None if it is absent."""
    if name not in members:
        return None
    value = members[name]
    if type(value) is not int or abs(value) > MAX_INTEGER:
        raise Malformed(name)
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
        """True if the signature is that of the message. Raises `Malformed` if it cannot be a signature."""
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
    message: bytes
    _payload: bytes
    _signature: bytes

    @property
    def signature(self) -> bytes:
        """The signature. Raises `Malformed` if it is not base64url."""
        return decode_base64url(self._signature)

    def verified_by(self, key: Key) -> dict[str, Any] | None:
        """The payload, if the key signed it. Raises `Malformed` if the signature or the payload is none at all."""
        if not key.verifies(self.message, self.signature):
            return None
        return parse_object(decode_base64url(self._payload))


def parse_jws(text: bytes) -> Jws:
    """Parse a compact JWS. Refuses header members that would need processing or name a key themselves."""
    parts = text.split(b".", 3)
    if len(parts) != 3:
        raise Malformed("not a compact JWS")
    header = parse_object(decode_base64url(parts[0]))
    if not header.keys().isdisjoint(_FORBIDDEN):
        raise Malformed("forbidden header member")
    return Jws(header, text[: len(parts[0]) + 1 + len(parts[1])], parts[1], parts[2])


def parse_key(jwk: object) -> Key | None:
    """Parse a public key; None if it is of a kind that signs no access tokens."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    kid = jwk.get("kid")
    match jwk.get("kty"), jwk.get("crv"):
        case "OKP", "Ed25519":
            algorithm = "EdDSA"
        case "EC", "P-256":
            algorithm = "ES256"
        case _:
            return None
    if not isinstance(kid, str) or not isinstance(jwk.get("y", ""), str):
        return None
    if "alg" in jwk and ALGORITHMS.get(str(jwk["alg"])) != algorithm:
        return None
    members: dict[str, Any] = {
        name: jwk.get(name) for name in ("kty", "crv", "x", "y") if name != "y" or algorithm == "ES256"
    }
    try:
        points = [decode_base64url(members[name].encode("ascii")) for name in ("x", "y") if name in members]
        if any(len(point) != _KEY_LENGTH for point in points):
            return None
        if algorithm == "EdDSA" and _has_small_order(points[0]):
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
            listed = parse_object(body).get("keys")
        except Malformed as error:
            raise Malformed(f"the key set is {error}") from None
        if not isinstance(listed, list) or not all(isinstance(jwk, dict) for jwk in listed):
            raise Malformed("the key set has no keys")
        if len(listed) > MAX_KEYS:
            raise Malformed("the key set has too many keys")
        keys: dict[str, Key] = {}
        for key in filter(None, map(parse_key, listed)):
            if keys.setdefault(key.kid, key) is not key:
                raise Malformed("two keys of the key set have the same kid")
        return cls(keys, hashlib.sha256(body).digest()[:12])

    def get(self, kid: str) -> Key | None:
        """The key with this id."""
        return self._keys.get(kid)

    def __len__(self) -> int:
        return len(self._keys)
