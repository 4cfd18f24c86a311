"""Protects views of Django, synchronous and asynchronous.

    # settings.py
    SIGNET_VERIFY = {"issuer": "https://id.example.org", "audience": "notes"}
    MIDDLEWARE = [..., "signet_verify.django.SignetMiddleware"]

    # views.py
    @require_token(scopes=["notes:read"])
    def notes(request): ...   # request.claims

The middleware verifies the bearer token of each request that has one. The decorator works with and without it.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from ._bearer import bearer_token
from .claims import Claims, Subject
from .errors import PROBLEM_MEDIA_TYPE, VerifyError
from .verifier import Verifier

_lock = threading.Lock()
_verifier: Verifier | None = None


def get_verifier() -> Verifier:
    """The verifier of this process, made from ``settings.SIGNET_VERIFY`` when it is needed first."""
    global _verifier
    if _verifier is None:
        with _lock:
            if _verifier is None:
                options = getattr(settings, "SIGNET_VERIFY", None)
                if not isinstance(options, dict):
                    raise ImproperlyConfigured('SIGNET_VERIFY must be {"issuer": …, "audience": …}')
                _verifier = Verifier(**options)
                atexit.register(_verifier.close)
    return _verifier


def problem_response(error: VerifyError) -> HttpResponse:
    """The response that says why a token is refused."""
    return HttpResponse(error.body, status=error.status, headers=error.headers, content_type=PROBLEM_MEDIA_TYPE)


@sync_and_async_middleware
def SignetMiddleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:  # noqa: N802
    """Set ``request.claims``: the claims of the bearer token, or None without one. An invalid token is refused."""
    if inspect.iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            refused = await _authenticate_async(request)
            if refused is not None:
                return refused
            response: HttpResponseBase = await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        refused = _authenticate(request)
        if refused is not None:
            return refused
        response: HttpResponseBase = get_response(request)
        return response

    return synchronous


def require_token(
    *, scopes: Iterable[str] = (), subject: Subject | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let only requests with a valid token into a view, which finds the claims in ``request.claims``."""
    required = frozenset((scopes,) if isinstance(scopes, str) else scopes)

    def check(request: HttpRequest) -> HttpResponse | None:
        try:
            claims: Claims | None = request.claims  # type: ignore[attr-defined]
            if claims is None:
                return problem_response(VerifyError("missing"))
            claims.require(scopes=required, subject=subject)
        except VerifyError as error:
            return problem_response(error)
        return None

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(view):

            @functools.wraps(view)
            async def asynchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                refused = await _authenticate_async(request) or check(request)
                return refused if refused is not None else await view(request, *args, **kwargs)

            return asynchronous

        @functools.wraps(view)
        def synchronous(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            refused = _authenticate(request) or check(request)
            return refused if refused is not None else view(request, *args, **kwargs)

        return synchronous

    return decorate


def _authenticate(request: HttpRequest) -> HttpResponse | None:
    if not hasattr(request, "claims"):
        try:
            _set_claims(request, get_verifier().verify_header(request.headers.get("Authorization")))
        except VerifyError as error:
            return _refuse(request, error)
    return None


async def _authenticate_async(request: HttpRequest) -> HttpResponse | None:
    if not hasattr(request, "claims"):
        try:
            token = bearer_token(request.headers.get("Authorization"))
            _set_claims(request, await get_verifier().verify_async(token))
        except VerifyError as error:
            return _refuse(request, error)
    return None


def _refuse(request: HttpRequest, error: VerifyError) -> HttpResponse | None:
    if error.code != "missing":
        return problem_response(error)
    _set_claims(request, None)
    return None


def _set_claims(request: HttpRequest, claims: Claims | None) -> None:
    request.claims = claims  # type: ignore[attr-defined]
