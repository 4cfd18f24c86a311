"""The README, followed by a newcomer: its code and commands are run against a running Signet, with the built wheel."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

PACKAGE = Path(__file__).parent.parent.parent
WaitUntil = Callable[[Callable[[], Any]], None]


def blocks(title: str, language: str, signet: Any) -> list[str]:
    """The code blocks below a title, with the address of this server instead of the README's."""
    section = (PACKAGE / "README.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    address = signet.issuer.removeprefix("http://")
    return [re.sub(r"(127\.0\.0\.1|localhost):8000", address, block) for block in found]


def run(arguments: list[str], folder: Path, **environment: str) -> str:
    process = subprocess.run(
        arguments, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the wheel is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("package")
    run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], PACKAGE)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        files = {name.split("/", 1)[1] for name in archive.namelist() if name.startswith("signet_verify/")}
        sources = PACKAGE / "src" / "signet_verify"
        assert files == {"py.typed"} | {file.name for file in sources.glob("*.py")}
        others = [name for name in archive.namelist() if not name.startswith("signet_verify")]
        assert others == []
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 1)[1] for name in archive.getnames()]
        assert {"pyproject.toml", "README.md", "LICENSE-MIT", "tests/fake_signet.py"} < set(names)
    site = folder / "site"
    run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "-t", str(site), str(wheel)], folder)
    return site


@contextmanager
def service(arguments: list[str], folder: Path, installed: Path, wait_until: WaitUntil) -> Iterator[int]:
    """Run a service on a free port, until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *arguments, "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: answers(port))
            yield port
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/me").status_code == 401
    except httpx.HTTPError:
        return False


def test_from_an_empty_folder_to_a_protected_route(
    signet: Any, installed: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    (app,) = blocks("From an empty folder to a protected route", "python", signet)
    install, start, session = blocks("From an empty folder to a protected route", "sh", signet)
    assert 'pip install "signet-verify[fastapi]" uvicorn' in install
    (tmp_path / "app.py").write_text(app)
    command = start.split()
    assert command[-2:] == ["--port", "9000"]
    with service(command[:-2], tmp_path, installed, wait_until) as port:
        # The service is asked by name, as the reader does, and listens on IPv4 only.
        script = session.replace("localhost:9000", f"127.0.0.1:{port}").replace("curl -s ", "curl -sw '\\n' ")
        output = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    lines = [line for line in output.splitlines() if line]
    expected = re.findall(r"# \{\"(?:type\": \")?(\w+)", session)
    assert expected == ["missing", "user", "insufficient_scope", "revoked"]
    seen = [line for line in lines if '"type"' in line or '"user"' in line]
    assert len(seen) == len(expected), output
    for word, line in zip(expected, seen, strict=True):
        assert f'"{word}"' in line


@pytest.mark.parametrize(("title", "command"), [("Flask", ["flask", "run"]), ("Starlette", ["uvicorn", "app:app"])])
def test_other_frameworks(
    signet: Any, installed: Path, tmp_path: Path, wait_until: WaitUntil, title: str, command: list[str]
) -> None:
    (app,) = blocks(title, "python", signet)
    (tmp_path / "app.py").write_text(app)
    with service(command, tmp_path, installed, wait_until) as port:
        assert_lets_in(signet, port)


def test_django(signet: Any, installed: Path, tmp_path: Path, wait_until: WaitUntil) -> None:
    settings, views = blocks("Django", "python", signet)
    wanted = "SECRET_KEY = 'test'\nDEBUG = False\nALLOWED_HOSTS = ['*']\nROOT_URLCONF = 'urls'\n"
    (tmp_path / "settings.py").write_text(wanted + settings)
    (tmp_path / "views.py").write_text(views)
    (tmp_path / "urls.py").write_text(
        "from django.urls import path\nimport views\nurlpatterns = [path('me', views.me)]\n"
    )
    (tmp_path / "asgi.py").write_text(
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n"
        "from django.core.asgi import get_asgi_application\napp = get_asgi_application()\n"
    )
    with service(["uvicorn", "--lifespan", "off", "asgi:app"], tmp_path, installed, wait_until) as port:
        assert_lets_in(signet, port)


def assert_lets_in(signet: Any, port: int) -> None:
    def get(token: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{port}/me", headers={"Authorization": f"Bearer {token}"}, timeout=30)

    assert "user" in get(signet.sign_in()).json()
    refused = get(signet.client_token())
    assert (refused.status_code, refused.json()["type"]) == (401, "wrong_subject")


def test_without_a_framework(signet: Any, installed: Path, tmp_path: Path) -> None:
    (script,) = blocks("Without a framework", "python", signet)
    output = run([sys.executable, "-c", script], tmp_path, PYTHONPATH=str(installed))
    assert output.startswith("malformed 401 ")
