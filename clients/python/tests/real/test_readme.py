"""The README, followed by a newcomer: its code and commands are run against a running Signet, with the built wheel."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

PACKAGE = Path(__file__).parent.parent.parent
FIRST = "From an empty folder to a protected route"
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
    with tarfile.open(sdist) as source:
        names = {name.split("/", 1)[1] for name in source.getnames()}
        assert {"pyproject.toml", "README.md", "LICENSE-MIT", "tests/fake_signet.py"} < names
    with zipfile.ZipFile(wheel) as archive:
        files = {name.split("/", 1)[1] for name in archive.namelist() if name.startswith("signet_verify/")}
        assert files == {"py.typed"} | {file.name for file in (PACKAGE / "src" / "signet_verify").glob("*.py")}
        folders = {name.split("/")[0].split("-")[0] for name in archive.namelist()}
        assert folders == {"signet_verify", "signet_token_verify"}
        # As an installer does with a wheel of Python files.
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def services(signet: Any, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of one service for each framework, started at the same time: importing them takes seconds."""
    ports: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        for title, files, command in applications(signet):
            folder = tmp_path_factory.mktemp("service")
            for name, text in files.items():
                (folder / name).write_text(text)
            with socket.create_server(("127.0.0.1", 0)) as free:
                ports[title] = free.getsockname()[1]
            process = subprocess.Popen(
                [sys.executable, "-m", *command, "--port", str(ports[title])],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(installed)},
                stderr=subprocess.DEVNULL,
            )
            stack.enter_context(process)
            stack.callback(process.terminate)
        yield ports


def applications(signet: Any) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """The title, files and command of each service in README."""
    (app,) = blocks(FIRST, "python", signet)
    command = blocks(FIRST, "sh", signet)[1].split()
    assert command[-2:] == ["--port", "9000"]
    yield FIRST, {"app.py": app}, command[:-2]
    (app,) = blocks("Flask", "python", signet)
    yield "Flask", {"app.py": app}, ["flask", "run"]
    (app,) = blocks("Starlette", "python", signet)
    yield "Starlette", {"app.py": app}, ["uvicorn", "app:app"]
    settings, views = blocks("Django", "python", signet)
    files = {
        "settings.py": f"SECRET_KEY = 'test'\nALLOWED_HOSTS = ['*']\nROOT_URLCONF = 'urls'\n{settings}",
        "views.py": views,
        "urls.py": "from django.urls import path\nimport views\nurlpatterns = [path('me', views.me)]\n",
        "asgi.py": "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n"
        "from django.core.asgi import get_asgi_application\napp = get_asgi_application()\n",
    }
    yield "Django", files, ["uvicorn", "--lifespan", "off", "asgi:app"]


def answers(port: int) -> bool:
    try:
        # A client takes longer to make than a connection, and there is none for seconds.
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
        return httpx.get(f"http://127.0.0.1:{port}/me").status_code == 401
    except (OSError, httpx.HTTPError):
        return False


def test_from_an_empty_folder_to_a_protected_route(
    signet: Any, services: dict[str, int], tmp_path: Path, wait_until: WaitUntil
) -> None:
    install, _, session = blocks(FIRST, "sh", signet)
    # By its path: the project of this name on PyPI is another one.
    assert 'pip install "../signet/clients/python[fastapi]" uvicorn' in install
    port = services[FIRST]
    wait_until(lambda: answers(port))
    script = session.replace("127.0.0.1:9000", f"127.0.0.1:{port}").replace("curl -s ", "curl -sw '\\n' ")
    output = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    seen = [line for line in output.splitlines() if '"type"' in line or '"user"' in line]
    expected = re.findall(r"# \{\"(?:type\": \")?(\w+)", session)
    assert expected == ["missing", "user", "insufficient_scope", "revoked"]
    assert len(seen) == len(expected), output
    for word, line in zip(expected, seen, strict=True):
        assert f'"{word}"' in line


@pytest.mark.parametrize("title", ["Flask", "Starlette", "Django"])
def test_other_frameworks(signet: Any, services: dict[str, int], wait_until: WaitUntil, title: str) -> None:
    wait_until(lambda: answers(services[title]))

    def get(token: str) -> httpx.Response:
        fields = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"http://127.0.0.1:{services[title]}/me", headers=fields, timeout=30)

    assert "user" in get(signet.sign_in()).json()
    refused = get(signet.client_token())
    assert (refused.status_code, refused.json()["type"]) == (401, "wrong_subject")


def test_without_a_framework(signet: Any, installed: Path, tmp_path: Path) -> None:
    (script,) = blocks("Without a framework", "python", signet)
    output = run([sys.executable, "-c", script], tmp_path, PYTHONPATH=str(installed))
    assert output.startswith("malformed 401 ")
