"""Measures the cost of verifications on one core: ``python bench/verify.py``.

Prints microseconds per verification, cached and not, beside the check of a signature alone, and what a revocation costs
in memory and time. No server is needed: keys, tokens and frames are made here, by the double of the tests.
"""

from __future__ import annotations

import asyncio
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import httpx

sys.path[:0] = [str(Path(__file__).parent.parent / folder) for folder in ("src", "tests")]

from fake_signet import AUDIENCE, ISSUER, FakeSignet, hash_of

from signet_verify import AsyncVerifier, Verifier
from signet_verify._jose import KeySet, parse_jws
from signet_verify._revocations import Revocations

TOKENS = 2_000
CACHED = 100_000
REVOCATIONS = 200_000


def report(label: str, count: int, run: Callable[[], object]) -> None:
    """Print the microseconds that each of `count` steps takes."""
    began = time.perf_counter()
    run()
    print(f"{(time.perf_counter() - began) / count * 1e6:9.2f} µs  {label}")


def measure_tokens(server: FakeSignet, kid: str, name: str) -> None:
    """Measure the verification of tokens that this key signed."""
    tokens = [server.token(kid, sub=str(number)) for number in range(TOKENS)]
    token = tokens[0]
    parsed = [(jws.message, jws.signature) for jws in (parse_jws(one.encode()) for one in tokens)]
    key = KeySet.parse(server.jwks()).get(kid)
    assert key is not None
    report(f"{name}: the signature alone", TOKENS, lambda: [key.verifies(*one) for one in parsed])

    client = httpx.Client(transport=httpx.MockTransport(server.handle))
    with Verifier(ISSUER, AUDIENCE, feed="off", http_client=client, clock=server.clock) as verifier:
        report(f"{name}: a token seen first", TOKENS, lambda: [verifier.verify(one) for one in tokens])
        report(f"{name}: a cached token", CACHED, lambda: [verifier.verify(token) for _ in range(CACHED)])

    async def cached() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(server.handle))
        async with AsyncVerifier(ISSUER, AUDIENCE, feed="off", http_client=client, clock=server.clock) as verifier:
            for _ in range(CACHED):
                await verifier.verify(token)

    report(f"{name}: a cached token, asyncio", CACHED, lambda: asyncio.run(cached()))


def measure_revocations() -> None:
    """Measure what an entry of the feed takes."""
    hashes = [hash_of(str(number)) for number in range(REVOCATIONS)]

    def add() -> Revocations:
        revocations = Revocations()
        for at, digest in enumerate(hashes):
            # A copy, as from a frame.
            revocations.add_id(bytes(bytearray(digest)), 1_800_000_000 + at // 1000)
        return revocations

    report("a revocation", REVOCATIONS, add)
    tracemalloc.start()
    revocations = add()
    print(f"{tracemalloc.get_traced_memory()[0] / len(revocations):9.0f} bytes for a revocation")


if __name__ == "__main__":
    double = FakeSignet()
    double.add_key("second", es256=True)
    measure_tokens(double, "first", "EdDSA")
    measure_tokens(double, "second", "ES256")
    measure_revocations()
