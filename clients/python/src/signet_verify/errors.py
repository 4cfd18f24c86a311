"""The one error of this package, and how HTTP responses say it.

A message never contains a token, a claim or a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, Literal

ErrorCode = Literal[
    "missing",
    "invalid_request",
    "malformed",
    "unsupported_algorithm",
    "unknown_key",
    "bad_signature",
    "wrong_type",
    "wrong_issuer",
    "wrong_audience",
    "expired",
    "not_yet_valid",
    "revoked",
    "insufficient_scope",
    "wrong_subject",
    "stale",
    "unavailable",
]

_TITLES: Final[dict[ErrorCode, str]] = {
    "missing": "An access token is required",
    "invalid_request": "The request must have one access token, as Authorization: Bearer …",
    "malformed": "The access token is malformed",
    "unsupported_algorithm": "The access token is signed with an algorithm that is not supported",
    "unknown_key": "The access token is signed with an unknown key",
    "bad_signature": "The signature of the access token is invalid",
    "wrong_type": "The token is not an access token",
    "wrong_issuer": "The access token was issued by another issuer",
    "wrong_audience": "The access token was issued for another audience",
    "expired": "The access token has expired",
    "not_yet_valid": "The access token is not valid yet",
    "revoked": "The access token was revoked",
    "insufficient_scope": "The access token lacks a scope",
    "wrong_subject": "The access token was issued to another kind of subject",
    "stale": "Revocations cannot be checked at the moment",
    "unavailable": "Access tokens cannot be verified at the moment",
}

#: Seconds after which a client may repeat a request that was answered with 503. The feed is asked at least this often.
RETRY_AFTER: Final = 5

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"


class VerifyError(Exception):
    """The reason for which a token is refused. ``code`` is for programs, the text for people."""

    def __init__(self, code: ErrorCode, *, scopes: Iterable[str] = ()) -> None:
        super().__init__(_TITLES[code])
        self.code: ErrorCode = code
        self.scopes = tuple(sorted(scopes))
        """The required scopes, if ``code`` is ``insufficient_scope``."""

    def __repr__(self) -> str:
        return f"VerifyError({self.code!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.code, self.scopes)

    @property
    def title(self) -> str:
        """One sentence for people."""
        return _TITLES[self.code]

    @property
    def status(self) -> int:
        """The HTTP status: 400, 401, 403 or 503."""
        if self.code == "invalid_request":
            return 400
        if self.code == "insufficient_scope":
            return 403
        return 503 if self.code in ("stale", "unavailable") else 401

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of the response: the challenge of RFC 6750, or ``Retry-After``."""
        if self.status == 503:
            return {"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store"}
        return {"WWW-Authenticate": self._challenge(), "Cache-Control": "no-store"}

    def _challenge(self) -> str:
        if self.code == "missing":
            return "Bearer"
        if self.code == "invalid_request":
            return 'Bearer error="invalid_request"'
        if self.code == "insufficient_scope":
            return f'Bearer error="insufficient_scope", scope="{" ".join(self.scopes)}"'
        return f'Bearer error="invalid_token", error_description="{self.title}"'

    @property
    def problem(self) -> dict[str, str | int]:
        """The problem document (RFC 9457)."""
        return {"type": self.code, "title": self.title, "status": self.status}

    @property
    def body(self) -> bytes:
        """The problem document as JSON, of the media type ``application/problem+json``."""
        return json.dumps(self.problem).encode()


def _rebuild(code: ErrorCode, scopes: tuple[str, ...]) -> VerifyError:
    return VerifyError(code, scopes=scopes)
