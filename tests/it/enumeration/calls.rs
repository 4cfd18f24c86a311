//! The calls of every dialect that name an account before the caller is authenticated. Sign-up is not among them: the
//! contract lets it reveal that an address is taken.

use reqwest::RequestBuilder;
use serde_json::json;

use crate::support::server::{TestServer, TestUser};

/// A call that names an account.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) request: fn(&TestServer, &TestUser) -> RequestBuilder,
}

const WRONG: &str = "not the password";

/// Sign-ins with a password that is wrong for every account.
pub(super) const SIGN_INS: &[Call] = &[
    Call {
        name: "native: by e-mail address",
        request: |server, user| server.post("/sessions").json(&json!({"email": user.email, "password": WRONG})),
    },
    Call {
        name: "native: by username",
        request: |server, user| server.post("/sessions").json(&json!({"username": user.username, "password": WRONG})),
    },
    Call {
        name: "myauth",
        request: |server, user| {
            server.post("/auth/login/oauth").form(&[("username", user.email.as_str()), ("password", WRONG)])
        },
    },
    Call {
        name: "codes",
        request: |server, user| server.post("/auth/signin").json(&json!({"email": user.email, "password": WRONG})),
    },
    Call {
        name: "ucontact: by username",
        request: |server, user| {
            server.post("/api/auth/login").form(&[("username", user.username.as_str()), ("password", WRONG)])
        },
    },
    Call {
        name: "v1",
        request: |server, user| server.post("/api/v1/login").json(&json!({"email": user.email, "password": WRONG})),
    },
];

/// The same with other fields. They take the same path through the code, so their times are not measured.
pub(super) const OTHER_SIGN_INS: &[Call] = &[
    Call {
        name: "native: with a second factor",
        request: |server, user| {
            server.post("/sessions").json(&json!({"email": user.email, "password": WRONG, "totp_code": "000000"}))
        },
    },
    Call {
        name: "codes: with a second factor",
        request: |server, user| {
            server.post("/auth/signin/otp").json(&json!({"email": user.email, "password": WRONG, "otp_code": "000000"}))
        },
    },
    Call {
        name: "ucontact: by e-mail address",
        request: |server, user| {
            server.post("/api/auth/login").form(&[("username", user.email.as_str()), ("password", WRONG)])
        },
    },
];

/// Calls that send a mail if there is an account.
pub(super) const MAIL_REQUESTS: &[Call] = &[
    Call {
        name: "unturned: code",
        request: |server, user| server.post("/auth/verification/send-code").json(&json!({"email": user.email})),
    },
    Call {
        name: "myauth: magic link",
        request: |server, user| server.post(&format!("/auth/login/magic/{}", user.email)),
    },
    Call {
        name: "myauth: password reset",
        request: |server, user| server.post(&format!("/auth/login/recover/{}", user.email)),
    },
    Call {
        name: "v1: password reset",
        request: |server, user| {
            server.post("/api/v1/password-reset").json(&json!({"email": user.email, "username": user.username}))
        },
    },
    Call {
        name: "v1: password reset with the username of another account",
        request: |server, user| {
            server.post("/api/v1/password-reset").json(&json!({"email": user.email, "username": "person-0"}))
        },
    },
    Call { name: "native: code", request: |server, user| server.post("/codes").json(&json!({"email": user.email})) },
    Call {
        name: "native: magic link",
        request: |server, user| server.post("/magic-links").json(&json!({"email": user.email})),
    },
    Call {
        name: "native: password reset",
        request: |server, user| server.post("/password-resets").json(&json!({"email": user.email})),
    },
];

/// A wrong code. After five attempts the code is void, which the response must not reveal either.
pub(super) const CODE_GUESSES: &[Call] = &[
    Call {
        name: "unturned: wrong code",
        request: |server, user| {
            server.post("/auth/verification/verify-code").json(&json!({"email": user.email, "code": "000000"}))
        },
    },
    Call {
        name: "native: wrong code",
        request: |server, user| server.post("/sessions").json(&json!({"email": user.email, "code": "000000"})),
    },
];
