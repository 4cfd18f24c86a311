"""Discovery: the authorization server metadata (RFC 8414), and what the lifetime of a key set is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ._effects import Fetch, FetchFailed, Flow, Response
from .options import check_url

MAX_DOCUMENT: Final = 256 * 1024

_WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
_JWKS: Final = "/.well-known/jwks.json"

MIN_KEY_AGE: Final = 30
MAX_KEY_AGE: Final = 24 * 60 * 60
#: If the response says nothing, as the server does by default.
DEFAULT_KEY_AGE: Final = 300


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where the documents of a server are."""

    jwks_uri: str
    feed: str | None
    """None if the server has no feed."""
    batch: str | None
    """Where to verify many tokens."""


def discover(issuer: str, deadline: float) -> Flow[Metadata]:
    """Fetch the metadata. With a path in the issuer, RFC 8414 inserts; many servers append."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    urls = [f"{origin}{_WELL_KNOWN}{path}"]
    if path:
        urls.append(f"{origin}{path}{_WELL_KNOWN}")
    for url in urls[:-1]:
        response: Response = yield Fetch(url, MAX_DOCUMENT, deadline=deadline)
        if response.status == 200:
            return parse_metadata(response.body, issuer)
    response = yield Fetch(urls[-1], MAX_DOCUMENT, deadline=deadline)
    if response.status != 200:
        raise FetchFailed(f"the metadata has status {response.status}")
    return parse_metadata(response.body, issuer)


def parse_metadata(body: bytes, issuer: str) -> Metadata:
    """Parse the metadata, which must be that of the issuer (RFC 8414, 3.3)."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise FetchFailed("the metadata is not JSON") from None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise FetchFailed("the metadata is of another issuer")
    try:
        jwks_uri = check_url("jwks_uri", document.get("jwks_uri"))
        feed, verify = (
            None if document.get(name) is None else check_url(name, document[name]).rstrip("/")
            for name in ("revocation_feed_uri", "verification_endpoint")
        )
    except ValueError as error:
        raise FetchFailed(f"the metadata is invalid: {error}") from None
    if verify is None and jwks_uri.endswith(_JWKS):
        verify = jwks_uri.removesuffix(_JWKS) + "/verify"
    return Metadata(jwks_uri, feed, None if verify is None else verify + "/batch")


def key_ages(headers: Mapping[str, str]) -> tuple[int, int]:
    """The seconds a key set is valid, and the seconds it stays in use after that if the server cannot be reached."""
    directives = headers.get("cache-control", "").lower()
    max_age = _seconds("max-age", directives)
    valid = DEFAULT_KEY_AGE if max_age is None else max_age
    return min(max(valid, MIN_KEY_AGE), MAX_KEY_AGE), min(_seconds("stale-if-error", directives) or 0, MAX_KEY_AGE)


def _seconds(name: str, directives: str) -> int | None:
    found = re.search(rf'(?:^|[,\s]){name}="?(\d{{1,9}})', directives)
    return int(found[1]) if found else None
