"""Protects routes of FastAPI.

app = FastAPI()
auth = SignetAuth(app, issuer="https://id.example.org", audience="notes")

@app.get("/me")
async def me(claims: Annotated[Claims, Depends(auth.user)]): ...
"""

# FastAPI reads the annotations of dependencies at run time, so they are not postponed in this module.

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import WebSocketException
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from . import starlette
from .aio import AsyncVerifier
from .claims import Claims, Subject
from .errors import VerifyError
from .options import VerifierOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: The status with which a web socket is closed that lacks a valid token (RFC 6455, 7.4.1): a policy violation.
_POLICY_VIOLATION = 1008


class Dependency(SecurityBase):
    """A dependency that gives the claims of a valid token. The OpenAPI document of the application describes it."""

    def __init__(self, auth: "SignetAuth", scopes: Iterable[str], subject: Subject | None) -> None:
        self._auth = auth
        self._scopes = frozenset((scopes,) if isinstance(scopes, str) else scopes)
        self._subject = subject
        self.model = HTTPBearerModel(bearerFormat="JWT", description="An access token of Signet")
        self.scheme_name = "access_token"

    async def __call__(self, connection: HTTPConnection) -> Claims:
        """Verify the token of a request or web socket."""
        try:
            return await self._auth.verify(connection, scopes=self._scopes, subject=self._subject)
        except VerifyError as error:
            if connection.scope["type"] == "websocket":
                raise WebSocketException(_POLICY_VIOLATION, error.code) from None
            raise


class SignetAuth(starlette.SignetAuth):
    """Protects the routes of an application.

    Takes a verifier, or the arguments of `AsyncVerifier`. The verifier starts and ends with the application.
    """

    def __init__(
        self, app: FastAPI, *, verifier: AsyncVerifier | None = None, **options: "Unpack[VerifierOptions]"
    ) -> None:
        super().__init__(app, verifier=verifier, **options)
        self.claims = Dependency(self, (), None)
        """Any valid token: of users and of clients."""
        self.user = Dependency(self, (), "user")
        """The token of a user who signed in."""
        self.client = Dependency(self, (), "client")
        """The token of an API key."""

    def requires(self, *scopes: str, subject: Subject | None = None) -> Dependency:
        """A dependency on a token with all of these scopes."""
        return Dependency(self, scopes, subject)
