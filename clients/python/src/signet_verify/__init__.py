"""Verifies the access tokens of a Signet server, and refuses signed-out users within a second.

`Verifier` is for threads, `AsyncVerifier` for asyncio. `signet_verify.fastapi`, `signet_verify.starlette`,
`signet_verify.django` and `signet_verify.flask` protect routes.
"""

from ._state import Health
from .aio import AsyncVerifier
from .claims import Claims, Subject
from .errors import ErrorCode, VerifyError
from .options import Clock, FeedMode, WhenStale
from .verifier import Verifier

__all__ = [
    "AsyncVerifier",
    "Claims",
    "Clock",
    "ErrorCode",
    "FeedMode",
    "Health",
    "Subject",
    "Verifier",
    "VerifyError",
    "WhenStale",
]
