"""Frames of the revocation feed: parsing and the checks that need no state. See docs/revocation-feed.md of Signet."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from ._jose import Jws, KeySet, Malformed, decode_base64url, parse_jws, whole_number
from ._revocations import HASH_LENGTH, Revocations, hash_id

#: The largest frame.
MAX_FRAME: Final = 256 * 1024
MAX_ENTRIES: Final = 4096
MAX_PARTS: Final = 2**32 - 1

_TYP: Final = "signet-revocations+jws"
_REVOKED: Final = HASH_LENGTH + 4
_REVOKED_BEFORE: Final = HASH_LENGTH + 6 + 4
# Positions become parts of a path, so the two names that a URL gives a meaning to are excluded.
_POSITION: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}\Z")


class FrameError(Exception):
    """A frame that is discarded. The message says why."""


class UnknownFrameKey(FrameError):
    """The key set does not have the key of the frame, or not any more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame with a valid signature."""

    time: int
    epoch: str
    origin: str | None
    """``from``: None in a snapshot."""
    to: str
    not_before: int
    jwks: bytes | None
    part: int
    parts: int
    segments: tuple[str, ...]
    revoked: bytes = field(repr=False)
    revoked_before: bytes = field(repr=False)

    @property
    def is_current(self) -> bool:
        """True if the frame has all that was revoked up to its time.

        A segment lacks what is not an entry of the sequence: ``not_before``, and the revoked signing keys. A part of a
        snapshot is not the whole.
        """
        return self.jwks is not None and self.origin is not None

    def add_to(self, revocations: Revocations) -> None:
        """Add the entries to the revocations in force."""
        revocations.raise_not_before(self.not_before)
        for at in range(0, len(self.revoked), _REVOKED):
            record = self.revoked[at : at + _REVOKED]
            revocations.add_id(record[:HASH_LENGTH], int.from_bytes(record[HASH_LENGTH:], "big"))
        for at in range(0, len(self.revoked_before), _REVOKED_BEFORE):
            record = self.revoked_before[at : at + _REVOKED_BEFORE]
            before = int.from_bytes(record[HASH_LENGTH : HASH_LENGTH + 6], "big")
            revocations.add_sub(record[:HASH_LENGTH], before, int.from_bytes(record[HASH_LENGTH + 6 :], "big"))


def open_frame(text: bytes, keys: KeySet, revocations: Revocations, issuer: str) -> Frame:
    """Verify and parse a frame."""
    if len(text) > MAX_FRAME:
        raise FrameError("a frame is too long")
    try:
        jws = parse_jws(text)
        return _parse(_verified(jws, keys, revocations), issuer)
    except Malformed as error:
        raise FrameError(f"a frame is malformed: {error}") from None


def _verified(jws: Jws, keys: KeySet, revocations: Revocations) -> dict[str, Any]:
    kid = jws.header.get("kid")
    if jws.header.get("alg") != "EdDSA" or jws.header.get("typ") != _TYP or not isinstance(kid, str):
        raise FrameError("a frame has another algorithm or type")
    key = keys.get(kid)
    if key is None:
        raise UnknownFrameKey("a frame is signed with an unknown key")
    if key.algorithm != "EdDSA":
        raise FrameError("a frame is signed with a key of another algorithm")
    if revocations.has_id(hash_id(kid)):
        raise FrameError("a frame is signed with a revoked key")
    payload = jws.verified_by(key)
    if payload is None:
        raise FrameError("the signature of a frame is invalid")
    return payload


def _parse(payload: dict[str, Any], issuer: str) -> Frame:
    if payload.get("iss") != issuer:
        raise FrameError("a frame is of another issuer")
    segments = payload.get("segments", [])
    if not isinstance(segments, list):
        raise Malformed("segments")
    frame = Frame(
        time=_integer(payload, "time"),
        epoch=_position(payload.get("epoch")),
        origin=_position(payload["from"]) if "from" in payload else None,
        to=_position(payload.get("to")),
        not_before=_integer(payload, "not_before", 0),
        jwks=_jwks(payload["jwks"]) if "jwks" in payload else None,
        part=_integer(payload, "part", 1),
        parts=_integer(payload, "parts", 1),
        segments=tuple(_position(segment) for segment in segments),
        revoked=_binary(payload.get("revoked", ""), _REVOKED),
        revoked_before=_binary(payload.get("revoked_before", ""), _REVOKED_BEFORE),
    )
    if len(frame.revoked) // _REVOKED + len(frame.revoked_before) // _REVOKED_BEFORE > MAX_ENTRIES:
        raise Malformed("too many entries")
    if not 1 <= frame.part <= frame.parts <= MAX_PARTS or ("part" in payload) != ("parts" in payload):
        raise Malformed("part")
    return frame


def _integer(payload: dict[str, Any], name: str, default: int | None = None) -> int:
    value = whole_number(payload, name)
    if value is None:
        value = default
    if value is None or value < 0:
        raise Malformed(name)
    return value


def _jwks(value: object) -> bytes:
    digest = _binary(value, HASH_LENGTH)
    if len(digest) != HASH_LENGTH:
        raise Malformed("jwks")
    return digest


def _position(value: object) -> str:
    if not isinstance(value, str) or not _POSITION.match(value):
        raise Malformed("epoch or position")
    return value


def _binary(value: object, record: int) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        raise Malformed("entries")
    decoded = decode_base64url(value.encode("ascii"))
    if len(decoded) % record:
        raise Malformed("entries")
    return decoded
