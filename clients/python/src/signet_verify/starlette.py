"""Protects endpoints of Starlette.

auth = SignetAuth(app, issuer="https://id.example.org", audience="notes")

@auth.require(scopes=["notes:read"])
async def notes(request): ...   # request.state.claims
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from .aio import AsyncVerifier
from .claims import Claims, Subject
from .errors import PROBLEM_MEDIA_TYPE, VerifyError
from .options import VerifierOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

Endpoint = Callable[..., Any]


def problem_response(error: VerifyError) -> Response:
    """The response that says why a token is refused."""
    return Response(error.body, error.status, headers=error.headers, media_type=PROBLEM_MEDIA_TYPE)


async def _handle(_: Request, error: Exception) -> Response:
    if not isinstance(error, VerifyError):
        raise error
    return problem_response(error)


class SignetAuth:
    """Protects the endpoints of an application.

    Takes a verifier, or the arguments of `AsyncVerifier`. The verifier starts and ends with the application.
    """

    def __init__(
        self, app: Starlette | None = None, *, verifier: AsyncVerifier | None = None, **options: Unpack[VerifierOptions]
    ) -> None:
        self.verifier = verifier or AsyncVerifier(**options)
        if app is not None:
            self.install(app)

    def install(self, app: Starlette) -> None:
        """Start and end the verifier with the application, and answer what it refuses with a problem document."""
        app.add_exception_handler(VerifyError, _handle)
        inner = app.router.lifespan_context

        @contextlib.asynccontextmanager
        async def lifespan(started: Any) -> AsyncIterator[Mapping[str, Any] | None]:
            async with self.verifier, inner(started) as state:
                yield state

        app.router.lifespan_context = cast("Any", lifespan)

    async def verify(
        self, connection: HTTPConnection, *, scopes: Iterable[str] = (), subject: Subject | None = None
    ) -> Claims:
        """Verify the token of a request or web socket."""
        # Of two fields, a proxy may have checked the other one: together they are no token.
        authorization = ", ".join(connection.headers.getlist("authorization"))
        return await self.verifier.verify_header(authorization, scopes=scopes, subject=subject)

    def require(
        self, *, scopes: Iterable[str] = (), subject: Subject | None = None
    ) -> Callable[[Endpoint], Callable[[Request], Awaitable[Response]]]:
        """Let only requests with a valid token into an endpoint, which finds the claims in ``request.state.claims``."""
        required = frozenset((scopes,) if isinstance(scopes, str) else scopes)

        def decorate(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
            @functools.wraps(endpoint)
            async def protected(request: Request) -> Response:
                try:
                    request.state.claims = await self.verify(request, scopes=required, subject=subject)
                except VerifyError as error:
                    return problem_response(error)
                if inspect.iscoroutinefunction(endpoint):
                    response: Response = await endpoint(request)
                    return response
                return await run_in_threadpool(endpoint, request)

            return protected

        return decorate
