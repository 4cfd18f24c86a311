"""Routes of each framework: who gets in, and the responses to everybody else."""

# FastAPI reads annotations at run time, where it finds no local variables: they are not postponed.

import asyncio
import json
from collections.abc import Iterator
from typing import Annotated, Any

import django
import flask
import httpx
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import path
from fake_signet import AUDIENCE, ISSUER, FakeSignet
from fastapi import Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient as FastAPIClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.websockets import WebSocketDisconnect

import signet_verify.django as signet_django
import signet_verify.fastapi as signet_fastapi
import signet_verify.flask as signet_flask
import signet_verify.starlette as signet_starlette
from signet_verify import AsyncVerifier, Claims, Verifier, VerifyError

server = FakeSignet()
USER = server.token()
CLIENT = server.token(sid=..., scope="notes:read")
EXPIRED = server.token(exp=1)


def verifier() -> Verifier:
    client = httpx.Client(transport=httpx.MockTransport(server.handle))
    return Verifier(ISSUER, AUDIENCE, http_client=client, clock=server.clock, feed="off")


def async_verifier() -> AsyncVerifier:
    client = httpx.AsyncClient(transport=httpx.MockTransport(server.handle))
    return AsyncVerifier(ISSUER, AUDIENCE, http_client=client, clock=server.clock, feed="off")


class Answer:
    """The common part of all test clients' responses."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def assert_problem(self, status: int, code: str) -> None:
        assert self.status == status
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["cache-control"] == "no-store"
        assert json.loads(self.body) == {"type": code, "title": VerifyError(code).title, "status": status}  # type: ignore[arg-type]


def assert_protected(get: Any) -> None:
    """The routes of each application: /me for users, /notes for a scope, /write for another one."""
    assert get("/me", USER).status == 200
    assert json.loads(get("/me", USER).body) == {"sub": "user-1"}
    assert get("/notes", USER).status == 200
    assert get("/notes", CLIENT).status == 200
    assert get("/write", USER).status == 200
    get("/me", None).assert_problem(401, "missing")
    assert get("/me", None).headers["www-authenticate"] == "Bearer"
    get("/me", "").assert_problem(400, "invalid_request")
    get("/me", f"{USER}, Bearer {USER}").assert_problem(400, "invalid_request")
    get("/me", "x").assert_problem(401, "malformed")
    get("/me", EXPIRED).assert_problem(401, "expired")
    assert 'error="invalid_token"' in get("/me", EXPIRED).headers["www-authenticate"]
    get("/me", CLIENT).assert_problem(401, "wrong_subject")
    get("/write", CLIENT).assert_problem(403, "insufficient_scope")
    assert 'scope="notes:write"' in get("/write", CLIENT).headers["www-authenticate"]
    server.down = True
    try:
        unavailable = get("/me", server.token(header={"kid": "announced later"}))
    finally:
        server.down = False
    unavailable.assert_problem(503, "unavailable")
    assert unavailable.headers["retry-after"] == "5"
    assert "www-authenticate" not in unavailable.headers


def fields(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


# FastAPI and Starlette


def fastapi_app() -> FastAPI:
    app = FastAPI()
    auth = signet_fastapi.SignetAuth(app, verifier=async_verifier())

    @app.get("/me")
    async def me(claims: Annotated[Claims, Depends(auth.user)]) -> dict[str, str]:
        return {"sub": claims.sub}

    @app.get("/notes")
    def notes(claims: Annotated[Claims, Depends(auth.requires("notes:read"))]) -> str:
        return claims.sub

    @app.get("/write", dependencies=[Depends(auth.requires("notes:write"))])
    def write() -> str:
        return ""

    @app.get("/program")
    def program(claims: Annotated[Claims, Depends(auth.client)]) -> str:
        return claims.sub

    @app.websocket("/socket")
    async def socket(socket: WebSocket, claims: Annotated[Claims, Depends(auth.claims)]) -> None:
        await socket.accept()
        await socket.send_text(claims.sub)
        await socket.close()

    return app


def test_fastapi() -> None:
    with FastAPIClient(fastapi_app()) as client:

        def get(path: str, token: str | None) -> Answer:
            response = client.get(path, headers=fields(token))
            return Answer(response.status_code, response.headers, response.content)

        assert_protected(get)
        assert get("/program", CLIENT).status == 200
        get("/program", USER).assert_problem(401, "wrong_subject")
        schemes = client.get("/openapi.json").json()["components"]["securitySchemes"]
        assert schemes["access_token"]["scheme"] == "bearer"
        with client.websocket_connect("/socket", headers=fields(USER)) as socket:
            assert socket.receive_text() == "user-1"
        with (
            pytest.raises(WebSocketDisconnect) as error,
            client.websocket_connect("/socket", headers=fields(EXPIRED)),
        ):
            pass
        assert (error.value.code, error.value.reason) == (1008, "expired")


def test_fastapi_starts_and_ends_the_verifier() -> None:
    app = FastAPI()
    auth = signet_fastapi.SignetAuth(app, verifier=async_verifier())
    with FastAPIClient(app):
        assert auth.verifier.health.ready
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(auth.verifier.verify("x"))


def test_starlette() -> None:
    auth = signet_starlette.SignetAuth(verifier=async_verifier())

    @auth.require(subject="user")
    async def me(request: Request) -> PlainTextResponse:
        return PlainTextResponse(json.dumps({"sub": request.state.claims.sub}))

    @auth.require(scopes="notes:read")
    def notes(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.claims.sub)

    @auth.require(scopes=["notes:write"])
    async def write(_: Request) -> PlainTextResponse:
        return PlainTextResponse("")

    async def inside(request: Request) -> PlainTextResponse:
        return PlainTextResponse((await auth.verify(request)).sub)

    app = Starlette(routes=[Route(f"/{view.__name__}", view) for view in (me, notes, write, inside)])
    auth.install(app)
    with FastAPIClient(app) as client:

        def get(path: str, token: str | None) -> Answer:
            response = client.get(path, headers=fields(token))
            return Answer(response.status_code, response.headers, response.content)

        assert_protected(get)
        assert get("/inside", USER).body == b"user-1"
        get("/inside", None).assert_problem(401, "missing")


# Flask


def test_flask() -> None:
    app = flask.Flask(__name__)
    auth = signet_flask.SignetAuth(app, verifier=verifier())

    @app.get("/me")
    @auth.require(subject="user")
    def me() -> dict[str, str]:
        return {"sub": signet_flask.current_claims().sub}

    @app.get("/notes")
    @auth.require(scopes="notes:read")
    def notes() -> str:
        return ""

    @app.get("/write")
    @auth.require(scopes=["notes:write"])
    def write() -> str:
        return ""

    @app.get("/open")
    def unprotected() -> str:
        return signet_flask.current_claims().sub

    client = app.test_client()

    def get(path: str, token: str | None) -> Answer:
        response = client.get(path, headers=fields(token))
        return Answer(response.status_code, response.headers, response.data)

    assert_protected(get)
    get("/open", USER).assert_problem(401, "missing")


# Django


@signet_django.require_token(subject="user")
def django_me(request: Any) -> JsonResponse:
    return JsonResponse({"sub": request.claims.sub})


@signet_django.require_token(scopes="notes:read")
async def django_notes(request: Any) -> JsonResponse:
    return JsonResponse({"sub": request.claims.sub})


@signet_django.require_token(scopes=["notes:write"])
def django_write(_: Any) -> JsonResponse:
    return JsonResponse({})


def django_open(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"claims": getattr(request, "claims", "none") is not None})


urlpatterns = [
    path("me", django_me),
    path("notes", django_notes),
    path("write", django_write),
    path("open", django_open),
]


@pytest.fixture(params=[[], ["signet_verify.django.SignetMiddleware"]], ids=["decorator", "middleware"])
def _django(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not settings.configured:
        settings.configure(SECRET_KEY="test", ALLOWED_HOSTS=["*"])
        django.setup()
    monkeypatch.setattr(signet_django, "_verifier", verifier())
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=request.param):
        yield


@pytest.mark.usefixtures("_django")
def test_django() -> None:
    def get(path: str, token: str | None) -> Answer:
        response = Client().get(path, headers=fields(token))
        return Answer(response.status_code, response.headers, response.content)

    assert_protected(get)
    middleware = bool(settings.MIDDLEWARE)
    assert json.loads(get("/open", None).body) == {"claims": not middleware}
    assert get("/open", EXPIRED).status == (401 if middleware else 200)


@pytest.mark.usefixtures("_django")
def test_django_with_asgi() -> None:
    def get(path: str, token: str | None) -> Answer:
        response = asyncio.run(AsyncClient().get(path, headers=fields(token)))
        return Answer(response.status_code, response.headers, response.content)

    assert_protected(get)


@pytest.mark.usefixtures("_django")
def test_django_needs_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signet_django, "_verifier", None)
    with pytest.raises(ImproperlyConfigured, match="SIGNET_VERIFY"):
        signet_django.get_verifier()
    with override_settings(SIGNET_VERIFY={"issuer": ISSUER, "audience": AUDIENCE, "feed": "off"}):
        made = signet_django.get_verifier()
    assert signet_django.get_verifier() is made
    made.close()
