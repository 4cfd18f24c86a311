"""Checks one access token against the key set, the issuer and the audience. Knows nothing of revocations in force."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from ._jose import ALGORITHMS, Key, KeySet, Malformed, parse_jws, whole_number
from ._revocations import TokenIds, hash_id
from .claims import Claims
from .errors import VerifyError

#: Longer texts are refused unparsed. Signet issues none.
MAX_TOKEN: Final = 8 * 1024

_TYPES: Final = ("at+jwt", "application/at+jwt")
_UUID_V7: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}\Z")


class UnknownKey(VerifyError):
    """The key set does not have the key of the token. A newer key set may have it."""

    def __init__(self) -> None:
        super().__init__("unknown_key")

    def __reduce__(self) -> tuple[object, ...]:
        return UnknownKey, ()


@dataclass(slots=True)
class Verified:
    """A token with a valid signature and valid claims, as the cache keeps it."""

    claims: Claims
    not_before: int | None
    key: Key
    ids: TokenIds
    revocations_version: int = -1
    """The version of the revocations that were found not to cover the token."""
    key_set: KeySet | None = None
    """The key set that was found to have the key."""

    def check_time(self, now: float, leeway: float) -> None:
        """Raise ``expired`` or ``not_yet_valid``."""
        if now >= self.claims.expires_at + leeway:
            raise VerifyError("expired")
        if self.not_before is not None and now < self.not_before - leeway:
            raise VerifyError("not_yet_valid")


def verify_token(token: str, keys: KeySet, *, issuer: str, audience: str) -> Verified:
    """Verify everything about a token that does not change: all but time and revocation."""
    if not token:
        raise VerifyError("missing")
    if len(token) > MAX_TOKEN or not token.isascii():
        raise VerifyError("malformed")
    try:
        jws = parse_jws(token.encode("ascii"))
        key = _key(jws.header, keys)
        payload = jws.verified_by(key)
        if payload is None:
            raise VerifyError("bad_signature")
        return _claims(payload, key, issuer, audience)
    except Malformed:
        raise VerifyError("malformed") from None


def _key(header: Mapping[str, Any], keys: KeySet) -> Key:
    alg, typ, kid = (_text(header, name) for name in ("alg", "typ", "kid"))
    if alg is None:
        raise Malformed("alg")
    algorithm = ALGORITHMS.get(alg)
    if algorithm is None:
        raise VerifyError("unsupported_algorithm")
    if typ is None or typ.lower() not in _TYPES:
        raise VerifyError("wrong_type")
    if kid is None:
        # No newer key set has it either.
        raise VerifyError("unknown_key")
    key = keys.get(kid)
    if key is None:
        raise UnknownKey
    if key.algorithm != algorithm:
        raise VerifyError("unsupported_algorithm")
    return key


def _claims(payload: dict[str, Any], key: Key, issuer: str, audience: str) -> Verified:
    # Times are in whole seconds. Signet writes no others.
    expires_at, not_before = whole_number(payload, "exp"), whole_number(payload, "nbf")
    issued_at, auth_time = whole_number(payload, "iat"), whole_number(payload, "auth_time")
    sub, sid, jti, client_id = (_text(payload, name) for name in ("sub", "sid", "jti", "client_id"))
    scope, email = _text(payload, "scope"), _text(payload, "email")
    iss, audiences, email_verified = _text(payload, "iss"), _audiences(payload), payload.get("email_verified")
    if (
        expires_at is None
        or sub is None
        or iss is None
        or not (email_verified is None or isinstance(email_verified, bool))
    ):
        raise Malformed("claims")
    if iss != issuer:
        raise VerifyError("wrong_issuer")
    if audience not in audiences:
        raise VerifyError("wrong_audience")
    email_verified = email_verified is True
    claims = Claims(
        sub=sub,
        sid=sid,
        jti=jti,
        client_id=client_id,
        scopes=frozenset(scope.split(" ")) - {""} if scope else frozenset(),
        audience=audiences,
        email=email if email_verified else None,
        email_verified=email_verified,
        issued_at=issued_at,
        expires_at=expires_at,
        auth_time=auth_time,
        raw=MappingProxyType(payload),
    )
    ids = tuple(hash_id(text) for text in (sid, jti, client_id, key.kid) if text is not None)
    dated_by_session = _uuid_time(sid) is not None
    token_ids = TokenIds(ids, hash_id(sub), began(claims), dated_by_session=dated_by_session)
    return Verified(claims, not_before, key, token_ids)


def began(claims: Claims) -> int:
    """The start of a token's session, or of the token if that is not known, in milliseconds since 1970."""
    for time in (_uuid_time(claims.sid), _uuid_time(claims.jti)):
        if time is not None:
            return time
    return (claims.issued_at or 0) * 1000


def _uuid_time(text: str | None) -> int | None:
    if text is None or not _UUID_V7.match(text):
        return None
    return int(text[:8] + text[9:13], 16)


def _audiences(payload: dict[str, Any]) -> tuple[str, ...]:
    listed = payload.get("aud")
    audiences = tuple(listed) if isinstance(listed, list) else (listed,)
    if not all(isinstance(one, str) for one in audiences):
        raise Malformed("aud")
    return audiences


def _text(payload: Mapping[str, Any], name: str) -> str | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(name)
    return value
