//! Every call that guesses, mails or makes accounts, by the limit that it takes from.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{Dialect, Who};
use crate::support::desk::{PASSWORD, TestServer};

/// A call, done once more in a way that changes nothing.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) dialect: Dialect,
    pub(super) ask: fn(&TestServer, &Who) -> RequestBuilder,
}

const WRONG: &str = "not the password";
const OTHER: &str = "another harbour at dawn";

macro_rules! calls {
    ($name:ident: $($dialect:ident, $what:literal, |$desk:ident, $who:ident| $ask:expr;)+) => {
        pub(super) const $name: &[Call] =
            &[$(Call { name: $what, dialect: Dialect::$dialect, ask: |$desk, $who| $ask }),+];
    };
}

fn json(desk: &TestServer, path: &str, body: &serde_json::Value) -> RequestBuilder {
    desk.post(path).json(body)
}

fn put(desk: &TestServer, path: &str, who: &Who, body: &serde_json::Value) -> RequestBuilder {
    desk.request(Method::PUT, path).bearer_auth(&who.access).json(body)
}

fn delete(desk: &TestServer, path: &str, who: &Who, body: &serde_json::Value) -> RequestBuilder {
    desk.delete(path).bearer_auth(&who.access).json(body)
}

// A wrong password: `limits.sign_in_address`, `limits.sign_in_account`.
calls! { SIGN_INS:
    Native, "by address", |desk, who| json(desk, "/sessions", &json!({"email": who.email, "password": WRONG}));
    Native, "by name", |desk, who| json(desk, "/sessions", &json!({"username": who.username, "password": WRONG}));
    Myauth, "a form", |desk, who| {
        desk.post("/auth/login/oauth").form(&[("username", who.email.as_str()), ("password", WRONG)])
    };
    Codes, "signin", |desk, who| json(desk, "/auth/signin", &json!({"email": who.email, "password": WRONG}));
    Codes, "signin/otp", |desk, who| {
        json(desk, "/auth/signin/otp", &json!({"email": who.email, "password": WRONG, "otp_code": "000000"}))
    };
    Ucontact, "by name", |desk, who| {
        desk.post("/api/auth/login").form(&[("username", who.username.as_str()), ("password", WRONG)])
    };
    Ucontact, "by address", |desk, who| {
        desk.post("/api/auth/login").form(&[("username", who.email.as_str()), ("password", WRONG)])
    };
    V1, "login", |desk, who| json(desk, "/api/v1/login", &json!({"email": who.email, "password": WRONG}));
}

// The present password, of somebody who has a token: the same limits.
calls! { ORIGINALS:
    Myauth, "a new password", |desk, who| {
        put(desk, "/auth/users/me", who, &json!({"password": OTHER, "original": WRONG}))
    };
    Myauth, "a factor turned on", |desk, who| {
        put(desk, "/auth/login/totp", who, &json!({"claim": "000000", "uri": "", "password": WRONG}))
    };
    Myauth, "a factor turned off", |desk, who| delete(desk, "/auth/login/totp", who, &json!({"original": WRONG}));
    Native, "a factor turned on", |desk, who| put(desk, "/totp", who, &json!({"code": "000000", "password": WRONG}));
    Native, "a factor turned off", |desk, who| delete(desk, "/totp", who, &json!({"password": WRONG}));
}

// An address that is taken: `limits.sign_up_address`.
calls! { SIGN_UPS:
    Myauth, "signup", |desk, who| json(desk, "/auth/login/signup", &json!({"email": who.email, "password": OTHER}));
    Codes, "signup", |desk, who| {
        json(desk, "/auth/signup", &json!({"email": who.email, "password": OTHER, "user_name": "somebody"}))
    };
    Ucontact, "register", |desk, who| {
        let body = json!({"email": who.email, "password": OTHER, "username": who.username});
        json(desk, "/api/auth/register", &body)
    };
    V1, "register", |desk, who| {
        json(desk, "/api/v1/register", &json!({"email": who.email, "password": OTHER, "username": who.username}))
    };
}

// What mails something: `limits.mail_address`, `limits.mail_account`.
calls! { MAILS:
    Unturned, "a code", |desk, who| json(desk, "/auth/verification/send-code", &json!({"email": who.email}));
    Myauth, "a magic link", |desk, who| desk.post(&format!("/auth/login/magic/{}", who.email));
    Myauth, "a recovery", |desk, who| desk.post(&format!("/auth/login/recover/{}", who.email));
    V1, "a reset", |desk, who| {
        json(desk, "/api/v1/password-reset", &json!({"email": who.email, "username": who.username}))
    };
}

// The same, of somebody who must be there: by the id, and by the address that somebody else asks for.
calls! { MAILS_TO_PEOPLE:
    Codes, "a code", |desk, who| json(desk, "/auth/mail/verify/send", &json!({"user_id": who.id}));
    Myauth, "a changed address", |desk, who| {
        let body = json!({"email": who.email, "original": PASSWORD});
        desk.request(Method::PUT, "/auth/users/me").bearer_auth(&who.friend).json(&body)
    };
}

// A code, link or half that is wrong: `limits.code_address`.
calls! { GUESSES:
    Unturned, "a code", |desk, who| {
        json(desk, "/auth/verification/verify-code", &json!({"email": who.email, "code": "000000"}))
    };
    Myauth, "a magic link", |desk, _who| {
        json(desk, "/auth/login/claim", &json!({"claim": "no half"})).bearer_auth("no.to.ken")
    };
    Myauth, "a reset", |desk, _who| {
        json(desk, "/auth/login/reset", &json!({"claim": "no half", "new_password": OTHER})).bearer_auth("no.to.ken")
    };
    Codes, "a code", |desk, who| json(desk, "/auth/mail/verify", &json!({"user_id": who.id, "code": "000000"}));
    V1, "a reset", |desk, _who| {
        let body = json!({"new_password": OTHER, "new_password_confirm": OTHER});
        json(desk, "/api/v1/password-reset-confirm?token=no.to.ken", &body)
    };
    Native, "a magic link", |desk, _who| {
        json(desk, "/links/magic", &json!({"token": "no.to.ken", "claim": "no half"}))
    };
    Native, "a reset", |desk, _who| {
        json(desk, "/links/reset", &json!({"token": "no.to.ken", "claim": "no half", "new_password": OTHER}))
    };
}

// A second factor that is wrong, after what is right: `limits.code_address` too, and `limits.code_account`.
calls! { FACTORS:
    Native, "sign-in", |desk, who| {
        json(desk, "/sessions", &json!({"email": who.email, "password": PASSWORD, "totp_code": who.wrong_code()}))
    };
    Myauth, "the second step", |desk, who| {
        json(desk, "/auth/login/totp", &json!({"claim": who.wrong_code()})).bearer_auth(&who.step)
    };
    Codes, "sign-in", |desk, who| {
        let body = json!({"email": who.email, "password": PASSWORD, "otp_code": who.wrong_code()});
        json(desk, "/auth/signin/otp", &body)
    };
    Ucontact, "sign-in", |desk, who| {
        let form = [("username", who.email.clone()), ("password", PASSWORD.into()), ("totp_code", who.wrong_code())];
        desk.post("/api/auth/login").form(&form)
    };
    V1, "sign-in", |desk, who| {
        json(desk, "/api/v1/login", &json!({"email": who.email, "password": PASSWORD, "totp_code": who.wrong_code()}))
    };
}

// Turning it off, which costs mails: the same limits. Once these are used up, it stays on.
calls! { FACTORS_OFF:
    Native, "turned off", |desk, who| delete(desk, "/totp", who, &json!({"password": PASSWORD}));
    Myauth, "turned off", |desk, who| delete(desk, "/auth/login/totp", who, &json!({"original": PASSWORD}));
    Codes, "turned off", |desk, who| desk.post("/auth/delete/otp").bearer_auth(&who.access);
}
