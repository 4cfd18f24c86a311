"""Asks the server about tokens while the feed is stale: what one request to ``/verify/batch`` contains and means.

Tokens that wait at the same time go in one request. The drivers decide when one is sent. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, get_args

from ._effects import Fetch, FetchFailed, Flow, Response
from ._state import State
from .errors import ErrorCode, VerifyError

#: The most tokens of one request, and the most bytes, which keep the body below the two megabytes that Signet accepts.
MAX_TOKENS: Final = 1024
MAX_BYTES: Final = 1024 * 1024

_MAX_RESPONSE: Final = 16 * 1024 * 1024

_CODES: Final[dict[str, ErrorCode]] = {code: code for code in get_args(ErrorCode)} | {
    "revoked_key": "revoked",
    "unknown_api_key": "malformed",
}


def take_batch(waiting: Iterable[str]) -> list[str]:
    """The tokens that the next request takes, oldest first."""
    batch: list[str] = []
    size = 0
    for token in waiting:
        size += len(token)
        if batch and (len(batch) == MAX_TOKENS or size > MAX_BYTES):
            break
        batch.append(token)
    return batch


def asking(state: State, tokens: list[str]) -> Flow[list[VerifyError | None]]:
    """Ask about these tokens: for each the reason to refuse it, or None."""
    try:
        results = yield from _ask(state, tokens)
    except FetchFailed as error:
        state.record_error(f"the server cannot be asked: {error}")
        return [VerifyError("unavailable") for _ in tokens]
    return [None if result is None else VerifyError(result) for result in results]


def _ask(state: State, tokens: list[str]) -> Flow[list[ErrorCode | None]]:
    if state.metadata is None or state.metadata.batch is None:
        raise FetchFailed("the metadata has no verification endpoint")
    body = json.dumps({"tokens": tokens, "aud": state.options.audience}).encode()
    response: Response = yield Fetch(state.metadata.batch, _MAX_RESPONSE, body=body, deadline=state.options.timeout)
    if response.status != 200:
        raise FetchFailed(f"the verification endpoint has status {response.status}")
    try:
        results = json.loads(response.body)["results"]
        if len(results) == len(tokens):
            return [_reason(result) for result in results]
    except (ValueError, RecursionError, KeyError, TypeError):
        pass
    raise FetchFailed("the results are malformed")


def _reason(result: dict[str, object]) -> ErrorCode | None:
    if result["active"] is True:
        return None
    return _CODES.get(str(result.get("reason")), "revoked")
