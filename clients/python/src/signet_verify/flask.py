"""Protects views of Flask.

auth = SignetAuth(app, issuer="https://id.example.org", audience="notes")

@app.get("/notes")
@auth.require(scopes=["notes:read"])
def notes(): ...   # current_claims()
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from flask import Flask, Response, current_app, g, request

from .claims import Claims, Subject
from .errors import PROBLEM_MEDIA_TYPE, VerifyError
from .options import VerifierOptions
from .verifier import Verifier

if TYPE_CHECKING:
    from typing_extensions import Unpack

P = ParamSpec("P")
R = TypeVar("R")


def problem_response(error: VerifyError) -> Response:
    """The response that says why a token is refused."""
    return Response(error.body, error.status, headers=error.headers, content_type=PROBLEM_MEDIA_TYPE)


def current_claims() -> Claims:
    """The claims of the token of this request. Raises ``missing`` in a view that is not protected."""
    claims = g.get("signet_claims")
    if not isinstance(claims, Claims):
        raise VerifyError("missing")
    return claims


class SignetAuth:
    """Protects views. Takes a verifier, or the arguments of `Verifier`."""

    def __init__(
        self, app: Flask | None = None, *, verifier: Verifier | None = None, **options: Unpack[VerifierOptions]
    ) -> None:
        self.verifier = verifier or Verifier(**options)
        # A web server imports the application and never says that it is over.
        atexit.register(self.verifier.close)
        if app is not None:
            self.install(app)

    def install(self, app: Flask) -> None:
        """Answer what the verifier refuses anywhere in the application with a problem document."""
        app.register_error_handler(VerifyError, problem_response)

    def require(
        self, *, scopes: Iterable[str] = (), subject: Subject | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R | Response]]:
        """Let only requests with a valid token into a view, which finds the claims by `current_claims`."""
        required = frozenset((scopes,) if isinstance(scopes, str) else scopes)

        def decorate(view: Callable[P, R]) -> Callable[P, R | Response]:
            @functools.wraps(view)
            def protected(*args: P.args, **kwargs: P.kwargs) -> R | Response:
                try:
                    header = request.headers.get("Authorization")
                    g.signet_claims = self.verifier.verify_header(header, scopes=required, subject=subject)
                except VerifyError as error:
                    return problem_response(error)
                # A coroutine function is run as Flask runs it.
                return cast("R", current_app.ensure_sync(view)(*args, **kwargs))

            return protected

        return decorate
