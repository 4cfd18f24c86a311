"""A running Signet, which `tests/it/clients` of its repository starts and describes in the environment."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest


@dataclass(frozen=True)
class Signet:
    """The server, and what was prepared on it."""

    issuer: str
    email: str
    password: str
    api_key: str
    tokens: list[dict[str, str]]
    """Tokens of every kind: `kind` and `text`."""
    control: Path
    """The folder for commands."""

    def sign_in(self) -> str:
        credentials = {"email": self.email, "password": self.password}
        response = httpx.post(f"{self.issuer}/sessions", json=credentials, timeout=30)
        assert response.status_code == 201, response.text
        token: str = response.json()["access_token"]
        return token

    def sign_out(self, token: str) -> None:
        """End the session of this token."""
        session = jwt.decode(token, options={"verify_signature": False})["sid"]
        fields = {"Authorization": f"Bearer {token}"}
        response = httpx.delete(f"{self.issuer}/sessions/{session}", headers=fields, timeout=30)
        assert response.status_code in (200, 204), response.text

    def client_token(self) -> str:
        """The token of an API key."""
        form = {"grant_type": "client_credentials", "client_secret": self.api_key}
        response = httpx.post(f"{self.issuer}/oauth/token", data=form, timeout=30)
        assert response.status_code == 200, response.text
        token: str = response.json()["access_token"]
        return token

    def command(self, *arguments: str) -> None:
        """Have a command carried out: ``restart``, ``freeze``, ``thaw``, or arguments of Signet's command line."""
        file = self.control / "command"
        unfinished = self.control / "command.new"
        unfinished.write_text(json.dumps(arguments))
        unfinished.rename(file)
        wait_until(lambda: not file.exists())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process, so that it is silent."""
        self.command("freeze")
        try:
            yield
        finally:
            self.command("thaw")


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds; at most half a minute."""
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("the condition does not come true")


@pytest.fixture(scope="session")
def signet() -> Signet:
    return Signet(
        issuer=os.environ["SIGNET_URL"],
        email=json.loads(os.environ["SIGNET_USERS"])[0],
        password=os.environ["SIGNET_PASSWORD"],
        api_key=os.environ["SIGNET_API_KEY"],
        tokens=json.loads(os.environ["SIGNET_TOKENS"]),
        control=Path(os.environ["SIGNET_CONTROL"]),
    )


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable[[Callable[[], Any]], None]:
    return wait_until
