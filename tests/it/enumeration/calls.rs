//! The calls that name somebody before it is known who asks, of every dialect. (Those that make an account may tell: the contract
//! has them do so.)

use reqwest::RequestBuilder;
use serde_json::json;

use crate::support::server::{Person, TestServer};

/// A call that names a person.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) ask: fn(&TestServer, &Person) -> RequestBuilder,
}

const WRONG: &str = "not the password";

/// A password that is wrong, whoever it is for.
pub(super) const SIGN_INS: &[Call] = &[
    Call {
        name: "native: by address",
        ask: |server, who| server.post("/sessions").json(&json!({"email": who.email, "password": WRONG})),
    },
    Call {
        name: "native: by name",
        ask: |server, who| server.post("/sessions").json(&json!({"username": who.username, "password": WRONG})),
    },
    Call {
        name: "myauth",
        ask: |server, who| {
            server.post("/auth/login/oauth").form(&[("username", who.email.as_str()), ("password", WRONG)])
        },
    },
    Call {
        name: "codes",
        ask: |server, who| server.post("/auth/signin").json(&json!({"email": who.email, "password": WRONG})),
    },
    Call {
        name: "ucontact: by name",
        ask: |server, who| {
            server.post("/api/auth/login").form(&[("username", who.username.as_str()), ("password", WRONG)])
        },
    },
    Call {
        name: "v1",
        ask: |server, who| server.post("/api/v1/login").json(&json!({"email": who.email, "password": WRONG})),
    },
];

/// The same in other fields. It takes the same way, so its times are not taken.
pub(super) const SIGN_INS_OTHERWISE: &[Call] = &[
    Call {
        name: "native: with a second factor",
        ask: |server, who| {
            server.post("/sessions").json(&json!({"email": who.email, "password": WRONG, "totp_code": "000000"}))
        },
    },
    Call {
        name: "codes: with a second factor",
        ask: |server, who| {
            server.post("/auth/signin/otp").json(&json!({"email": who.email, "password": WRONG, "otp_code": "000000"}))
        },
    },
    Call {
        name: "ucontact: by address",
        ask: |server, who| {
            server.post("/api/auth/login").form(&[("username", who.email.as_str()), ("password", WRONG)])
        },
    },
];

/// What mails something to whom it concerns.
pub(super) const ASKING: &[Call] = &[
    Call {
        name: "unturned: a code",
        ask: |server, who| server.post("/auth/verification/send-code").json(&json!({"email": who.email})),
    },
    Call { name: "myauth: a magic link", ask: |server, who| server.post(&format!("/auth/login/magic/{}", who.email)) },
    Call { name: "myauth: a recovery", ask: |server, who| server.post(&format!("/auth/login/recover/{}", who.email)) },
    Call {
        name: "v1: a reset",
        ask: |server, who| {
            server.post("/api/v1/password-reset").json(&json!({"email": who.email, "username": who.username}))
        },
    },
    Call {
        name: "v1: a reset, with a name that is another's",
        ask: |server, who| {
            server.post("/api/v1/password-reset").json(&json!({"email": who.email, "username": "person-0"}))
        },
    },
];

/// A code that is wrong. After five of them none is in force, which is not to be told either.
pub(super) const GUESSING: &[Call] = &[Call {
    name: "unturned: a wrong code",
    ask: |server, who| {
        server.post("/auth/verification/verify-code").json(&json!({"email": who.email, "code": "000000"}))
    },
}];
