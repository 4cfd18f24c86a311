"""The token in an ``Authorization`` header field (RFC 6750, 2.1)."""

from __future__ import annotations

from .errors import VerifyError


def bearer_token(authorization: str | None) -> str:
    """The bearer token of this field. Raises ``missing`` if there is none, so that other schemes are left alone."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise VerifyError("missing")
    return token.strip()
