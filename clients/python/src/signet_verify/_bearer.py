"""The token in an ``Authorization`` header field (RFC 6750, 2.1)."""

from __future__ import annotations

from .errors import VerifyError


def bearer_token(authorization: str | None) -> str:
    """The bearer token of this field.

    Raises ``missing`` for another scheme, and ``invalid_request`` unless exactly one token follows ``Bearer``.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise VerifyError("missing")
    token = token.strip()
    if not token or " " in token:
        raise VerifyError("invalid_request")
    return token
