"""The claims of a verified token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import VerifyError

Subject = Literal["user", "client"]


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified access token. Times are seconds since 1970."""

    sub: str
    """The id of the user; for a client, of the owner of the API key."""
    sid: str | None
    """The session. Clients have none."""
    jti: str | None
    client_id: str | None
    scopes: frozenset[str]
    audience: tuple[str, ...]
    email: str | None = field(repr=False)
    """The email address, only if it is verified."""
    email_verified: bool
    issued_at: int | None
    expires_at: int
    auth_time: int | None
    raw: Mapping[str, Any] = field(repr=False, hash=False)
    """All claims as signed. Read only: tokens are cached, and all requests with this token share it."""

    @property
    def is_user(self) -> bool:
        """True if a user signed in to get the token."""
        return self.sid is not None

    @property
    def is_client(self) -> bool:
        """True if the token was issued to an API key."""
        return self.sid is None

    def require(self, *, scopes: Iterable[str] = (), subject: Subject | None = None) -> None:
        """Raise ``wrong_subject`` or ``insufficient_scope`` unless the token is of this subject and has all scopes."""
        if subject not in (None, "user", "client"):
            raise ValueError("subject must be 'user' or 'client'")
        if subject is not None and (subject == "user") != self.is_user:
            raise VerifyError("wrong_subject")
        if scopes:
            required = frozenset((scopes,) if isinstance(scopes, str) else scopes)
            if not required <= self.scopes:
                raise VerifyError("insufficient_scope", scopes=required)
