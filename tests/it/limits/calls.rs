//! Every call that guesses, mails or makes accounts, by the limit that it takes from.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{Dialect, Who};
use crate::support::server::{PASSWORD, TestServer};

/// A call, done once more in a way that changes nothing.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) dialect: Dialect,
    pub(super) ask: fn(&TestServer, &Who) -> RequestBuilder,
}

const WRONG: &str = "not the password";
const OTHER: &str = "another harbour at dawn";

macro_rules! calls {
    ($name:ident: $($dialect:ident, $what:literal, |$server:ident, $who:ident| $ask:expr;)+) => {
        pub(super) const $name: &[Call] =
            &[$(Call { name: $what, dialect: Dialect::$dialect, ask: |$server, $who| $ask }),+];
    };
}

fn json(server: &TestServer, path: &str, body: &serde_json::Value) -> RequestBuilder {
    server.post(path).json(body)
}

fn put(server: &TestServer, path: &str, who: &Who, body: &serde_json::Value) -> RequestBuilder {
    server.request(Method::PUT, path).bearer_auth(&who.access).json(body)
}

fn delete(server: &TestServer, path: &str, who: &Who, body: &serde_json::Value) -> RequestBuilder {
    server.delete(path).bearer_auth(&who.access).json(body)
}

// A wrong password: `limits.sign_in_address`, `limits.sign_in_account`.
calls! { SIGN_INS:
    Native, "by address", |server, who| json(server, "/sessions", &json!({"email": who.email, "password": WRONG}));
    Native, "by name", |server, who| json(server, "/sessions", &json!({"username": who.username, "password": WRONG}));
    Myauth, "a form", |server, who| {
        server.post("/auth/login/oauth").form(&[("username", who.email.as_str()), ("password", WRONG)])
    };
    Codes, "signin", |server, who| json(server, "/auth/signin", &json!({"email": who.email, "password": WRONG}));
    Codes, "signin/otp", |server, who| {
        json(server, "/auth/signin/otp", &json!({"email": who.email, "password": WRONG, "otp_code": "000000"}))
    };
    Ucontact, "by name", |server, who| {
        server.post("/api/auth/login").form(&[("username", who.username.as_str()), ("password", WRONG)])
    };
    Ucontact, "by address", |server, who| {
        server.post("/api/auth/login").form(&[("username", who.email.as_str()), ("password", WRONG)])
    };
    V1, "login", |server, who| json(server, "/api/v1/login", &json!({"email": who.email, "password": WRONG}));
}

// The present password, of somebody who has a token: the same limits.
calls! { ORIGINALS:
    Myauth, "a new password", |server, who| {
        put(server, "/auth/users/me", who, &json!({"password": OTHER, "original": WRONG}))
    };
    Myauth, "a factor turned on", |server, who| {
        put(server, "/auth/login/totp", who, &json!({"claim": "000000", "uri": "", "password": WRONG}))
    };
    Myauth, "a factor turned off", |server, who| delete(server, "/auth/login/totp", who, &json!({"original": WRONG}));
    Native, "a factor turned on", |server, who| put(server, "/totp", who, &json!({"code": "000000", "password": WRONG}));
    Native, "a factor turned off", |server, who| delete(server, "/totp", who, &json!({"password": WRONG}));
}

// An address that is taken: `limits.sign_up_address`.
calls! { SIGN_UPS:
    Myauth, "signup", |server, who| json(server, "/auth/login/signup", &json!({"email": who.email, "password": OTHER}));
    Codes, "signup", |server, who| {
        json(server, "/auth/signup", &json!({"email": who.email, "password": OTHER, "user_name": "somebody"}))
    };
    Ucontact, "register", |server, who| {
        let body = json!({"email": who.email, "password": OTHER, "username": who.username});
        json(server, "/api/auth/register", &body)
    };
    V1, "register", |server, who| {
        json(server, "/api/v1/register", &json!({"email": who.email, "password": OTHER, "username": who.username}))
    };
}

// What mails something: `limits.mail_address`, `limits.mail_account`.
calls! { MAILS:
    Unturned, "a code", |server, who| json(server, "/auth/verification/send-code", &json!({"email": who.email}));
    Myauth, "a magic link", |server, who| server.post(&format!("/auth/login/magic/{}", who.email));
    Myauth, "a recovery", |server, who| server.post(&format!("/auth/login/recover/{}", who.email));
    V1, "a reset", |server, who| {
        json(server, "/api/v1/password-reset", &json!({"email": who.email, "username": who.username}))
    };
}

// The same, of somebody who must be there: by the id, and by the address that somebody else asks for.
calls! { MAILS_TO_PEOPLE:
    Codes, "a code", |server, who| json(server, "/auth/mail/verify/send", &json!({"user_id": who.id}));
    Myauth, "a changed address", |server, who| {
        let body = json!({"email": who.email, "original": PASSWORD});
        server.request(Method::PUT, "/auth/users/me").bearer_auth(&who.friend).json(&body)
    };
}

// A code, link or half that is wrong: `limits.code_address`.
calls! { GUESSES:
    Unturned, "a code", |server, who| {
        json(server, "/auth/verification/verify-code", &json!({"email": who.email, "code": "000000"}))
    };
    Myauth, "a magic link", |server, _who| {
        json(server, "/auth/login/claim", &json!({"claim": "no half"})).bearer_auth("no.to.ken")
    };
    Myauth, "a reset", |server, _who| {
        json(server, "/auth/login/reset", &json!({"claim": "no half", "new_password": OTHER})).bearer_auth("no.to.ken")
    };
    Codes, "a code", |server, who| json(server, "/auth/mail/verify", &json!({"user_id": who.id, "code": "000000"}));
    V1, "a reset", |server, _who| {
        let body = json!({"new_password": OTHER, "new_password_confirm": OTHER});
        json(server, "/api/v1/password-reset-confirm?token=no.to.ken", &body)
    };
    Native, "a magic link", |server, _who| {
        json(server, "/links/magic", &json!({"token": "no.to.ken", "claim": "no half"}))
    };
    Native, "a reset", |server, _who| {
        json(server, "/links/reset", &json!({"token": "no.to.ken", "claim": "no half", "new_password": OTHER}))
    };
}

// A second factor that is wrong, after what is right: `limits.code_address` too, and `limits.code_account`.
calls! { FACTORS:
    Native, "sign-in", |server, who| {
        json(server, "/sessions", &json!({"email": who.email, "password": PASSWORD, "totp_code": who.wrong_code()}))
    };
    Myauth, "the second step", |server, who| {
        json(server, "/auth/login/totp", &json!({"claim": who.wrong_code()})).bearer_auth(&who.step)
    };
    Codes, "sign-in", |server, who| {
        let body = json!({"email": who.email, "password": PASSWORD, "otp_code": who.wrong_code()});
        json(server, "/auth/signin/otp", &body)
    };
    Ucontact, "sign-in", |server, who| {
        let form = [("username", who.email.clone()), ("password", PASSWORD.into()), ("totp_code", who.wrong_code())];
        server.post("/api/auth/login").form(&form)
    };
    V1, "sign-in", |server, who| {
        json(server, "/api/v1/login", &json!({"email": who.email, "password": PASSWORD, "totp_code": who.wrong_code()}))
    };
}

// Turning it off, which costs mails: the same limits. Once these are used up, it stays on.
calls! { FACTORS_OFF:
    Native, "turned off", |server, who| delete(server, "/totp", who, &json!({"password": PASSWORD}));
    Myauth, "turned off", |server, who| delete(server, "/auth/login/totp", who, &json!({"original": PASSWORD}));
    Codes, "turned off", |server, who| server.post("/auth/delete/otp").bearer_auth(&who.access);
}
