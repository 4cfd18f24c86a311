"""One token: which are accepted, and the code of each refusal."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from fake_signet import AUDIENCE, ISSUER, FakeSignet

from signet_verify import Claims, VerifyError
from signet_verify._jose import KeySet
from signet_verify._token import MAX_TOKEN, Verified, began, verify_token

server = FakeSignet()
server.add_key("second", es256=True)
KEYS = KeySet.parse(server.jwks())


def verify(token: str) -> Verified:
    return verify_token(token, KEYS, issuer=ISSUER, audience=AUDIENCE)


def refusal(token: str) -> str:
    with pytest.raises(VerifyError) as error:
        verify(token)
    assert token == "" or token not in repr(error.value) + str(error.value)
    return error.value.code


@pytest.mark.parametrize("kid", ["first", "second"])
def test_a_valid_token_gives_its_claims(kid: str) -> None:
    payload = server.claims()
    claims = verify(server.sign(payload, kid)).claims
    assert claims.sub == "user-1"
    assert (claims.sid, claims.jti, claims.client_id) == (payload["sid"], payload["jti"], "app")
    assert claims.scopes == {"notes:read", "notes:write"}
    assert (claims.audience, claims.email, claims.email_verified) == (("notes",), "ada@example.org", True)
    assert (claims.issued_at, claims.expires_at) == (payload["iat"], payload["exp"])
    assert claims.auth_time == payload["auth_time"]
    assert dict(claims.raw) == payload
    assert claims.is_user
    assert not claims.is_client


def test_other_forms_of_a_valid_token_are_accepted() -> None:
    assert verify(server.token(header={"typ": "Application/AT+JWT"}))
    assert verify(server.token(header={"alg": "Ed25519"}))
    assert verify(server.token(aud=["other", AUDIENCE])).claims.audience == ("other", AUDIENCE)
    minimal = verify(server.sign({"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": 9})).claims
    assert minimal.is_client
    assert minimal.scopes == frozenset()
    assert minimal.email is None


def test_an_unverified_address_is_not_given() -> None:
    for value in (False, ..., None):
        claims = verify(server.token(email_verified=value)).claims
        assert (claims.email, claims.email_verified) == (None, False)


@pytest.mark.parametrize(
    ("code", "token"),
    [
        ("missing", ""),
        ("malformed", "x"),
        ("malformed", "a.b"),
        ("malformed", "a.b.c.d"),
        ("malformed", "é.b.c"),
        ("malformed", "a" * (MAX_TOKEN + 1)),
        ("malformed", server.token() + "\n"),
        ("malformed", server.token() + "="),
        ("malformed", server.token(header={"crit": ["exp"]})),
        ("malformed", server.token(header={"jku": "https://evil.example"})),
        ("malformed", server.token(header={"jwk": {}})),
        ("malformed", server.token(header={"x5u": "https://evil.example"})),
        ("malformed", server.token(header={"kid": 5})),
        ("malformed", server.token(exp=...)),
        ("malformed", server.token(exp="soon")),
        ("malformed", server.token(exp=1.5)),
        ("malformed", server.token(exp=True)),
        ("malformed", server.token(exp=None)),
        ("malformed", server.token(exp=2**70)),
        ("malformed", server.token(nbf="soon")),
        ("malformed", server.token(sub=...)),
        ("malformed", server.token(sub=5)),
        ("malformed", server.token(sub="\ud800")),
        ("malformed", server.token(sid=[])),
        ("unsupported_algorithm", server.token(header={"alg": "none"})),
        ("malformed", server.token(header={"alg": ...})),
        ("malformed", server.token(header={"alg": ["EdDSA"]})),
        ("malformed", server.token(header={"typ": 5})),
        ("malformed", server.token(header={"zip": "DEF"})),
        ("malformed", server.token()[:-2]),
        ("malformed", server.token(email_verified="true")),
        ("unsupported_algorithm", server.token(header={"alg": "ES256"})),
        ("unsupported_algorithm", server.token("second", header={"alg": "EdDSA"})),
        ("wrong_type", server.token(header={"typ": "JWT"})),
        ("wrong_type", server.token(header={"typ": ...})),
        ("wrong_type", server.token(header={"typ": "signet-revocations+jws"})),
        ("unknown_key", server.token(header={"kid": "third"})),
        ("unknown_key", server.token(header={"kid": ...})),
        ("bad_signature", server.token("second", header={"alg": "EdDSA", "kid": "first"})),
        ("wrong_issuer", server.token(iss="https://evil.example")),
        ("malformed", server.token(iss=...)),
        ("malformed", server.token(iss=[ISSUER])),
        ("wrong_audience", server.token(aud="other")),
        ("malformed", server.token(aud=...)),
        ("wrong_audience", server.token(aud=[])),
        ("malformed", server.token(aud=[AUDIENCE, 5])),
        ("malformed", server.token(aud={"notes": 1})),
    ],
)
def test_a_bad_token_is_refused(code: str, token: str) -> None:
    assert refusal(token) == code


def test_a_token_that_a_secret_signs_is_refused() -> None:
    public: str = json.loads(server.jwks())["keys"][0]["x"]
    token = jwt.encode(server.claims(), public, algorithm="HS256", headers={"typ": "at+jwt", "kid": "first"})
    assert refusal(token) == "unsupported_algorithm"


def test_every_changed_character_is_refused() -> None:
    token = server.token()
    for at in range(0, len(token), 7):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert refusal(changed)
    # The last character of a signature has unused bits: without a check of them it had four texts.
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [token[:-1] + other for other in last if other != token[-1]]
    assert {refusal(other) for other in others} == {"malformed", "bad_signature"}
    assert refusal(token[:20] + "!" + token[20:]) == "malformed"


def test_ambiguous_json_is_refused() -> None:
    header = json.dumps({"alg": "EdDSA", "typ": "at+jwt", "kid": "first"}).encode()
    for payload in (
        b'{"sub":"a","sub":"b"}',
        b'{"exp":NaN}',
        b"[]",
        b"\xff",
        b"",
        b"[" * 7000,
        b'{"exp":' + b"9" * 6000,
    ):
        assert refusal(server.sign_raw(header, payload)) == "malformed"
    assert refusal(server.sign_raw(header[:-1] + b',"alg":"EdDSA"}', b"{}")) == "malformed"
    assert refusal(server.sign_raw(json.dumps(header.decode()).encode(), b"{}")) == "malformed"


def test_keys_of_other_kinds_are_skipped() -> None:
    jwks: dict[str, Any] = json.loads(server.jwks())
    good, curve = jwks["keys"]
    private = good | {"kid": "private", "d": good["x"]}
    others = [
        {"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"},
        good | {"kid": 5},
        good | {"kid": "enc", "use": "enc"},
        good | {"kid": "alg", "alg": "ES256"},
        good | {"kid": "bad", "x": "AA"},
        curve | {"kid": "point", "y": curve["x"]},
        good | {"kid": "null", "alg": None},
        private,
    ]
    keys = KeySet.parse(json.dumps({"keys": [good | {"alg": "Ed25519"}, *others]}).encode())
    assert len(keys) == 1
    assert verify_token(server.token(), keys, issuer=ISSUER, audience=AUDIENCE)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys":5}', b'{"keys":[null]}', b"\xff", b"[" * 100_000])
def test_what_is_no_key_set_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="key set"):
        KeySet.parse(body)


def test_a_token_began_with_its_session() -> None:
    def of(**changes: Any) -> int:
        return began(verify(server.token(**changes)).claims)

    early, late = "0189abcd-ef01-7000-8000-000000000000", "0189ffff-ef01-7000-8000-000000000000"
    assert of(sid=early, jti=late) == 0x0189ABCDEF01
    assert of(sid=early.upper(), jti=late) == 0x0189ABCDEF01
    assert of(sid=..., jti=late) == 0x0189FFFFEF01
    assert of(sid=..., jti="1", iat=7) == 7000
    assert of(sid=..., jti=late.replace("-7", "-4"), iat=7) == 7000
    assert of(sid=..., jti=..., iat=...) == 0
    assert of(sid="1", jti=late) == 0x0189FFFFEF01


def test_claims_require_scopes_and_a_subject() -> None:
    claims: Claims = verify(server.token()).claims
    claims.require(scopes=["notes:read"], subject="user")
    claims.require(scopes="notes:read")
    with pytest.raises(VerifyError) as error:
        claims.require(scopes=["notes:read", "admin"])
    assert (error.value.code, error.value.scopes) == ("insufficient_scope", ("admin", "notes:read"))
    with pytest.raises(VerifyError, match="another kind of subject"):
        claims.require(subject="client")
    with pytest.raises(ValueError, match="subject"):
        claims.require(subject="users")  # type: ignore[arg-type]


def test_nothing_shows_a_token_or_an_address() -> None:
    entry = verify(server.token())
    assert "ada@" not in repr(entry)
    assert entry.claims.sub in repr(entry.claims)
