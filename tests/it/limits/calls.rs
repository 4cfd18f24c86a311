//! Every call that checks a secret, sends a mail or creates an account, grouped by the limit that applies to it.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{Dialect, Target};
use crate::support::server::{PASSWORD, TestServer};

/// A call that can be repeated because it changes nothing.
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) dialect: Dialect,
    pub(super) request: fn(&TestServer, &Target) -> RequestBuilder,
}

const WRONG: &str = "not the password";
const OTHER: &str = "another harbour at dawn";

macro_rules! calls {
    ($name:ident: $($dialect:ident, $title:expr, |$server:ident, $target:ident| $build:expr;)+) => {
        pub(super) const $name: &[Call] =
            &[$(Call { name: $title, dialect: Dialect::$dialect, request: |$server, $target| $build }),+];
    };
}

fn json(server: &TestServer, path: &str, body: &serde_json::Value) -> RequestBuilder {
    server.post(path).json(body)
}

fn put(server: &TestServer, path: &str, target: &Target, body: &serde_json::Value) -> RequestBuilder {
    server.request(Method::PUT, path).bearer_auth(&target.access).json(body)
}

fn delete(server: &TestServer, path: &str, target: &Target, body: &serde_json::Value) -> RequestBuilder {
    server.delete(path).bearer_auth(&target.access).json(body)
}

// A wrong password: `limits.sign_in_address`, `limits.sign_in_account`.
calls! { SIGN_INS:
    Native, "by e-mail address", |server, target| {
        json(server, "/sessions", &json!({"email": target.email, "password": WRONG}))
    };
    Native, "by username", |server, target| {
        json(server, "/sessions", &json!({"username": target.username, "password": WRONG}))
    };
    Myauth, "form", |server, target| {
        server.post("/auth/login/oauth").form(&[("username", target.email.as_str()), ("password", WRONG)])
    };
    Codes, "signin", |server, target| json(server, "/auth/signin", &json!({"email": target.email, "password": WRONG}));
    Codes, "signin/otp", |server, target| {
        json(server, "/auth/signin/otp", &json!({"email": target.email, "password": WRONG, "otp_code": "000000"}))
    };
    Ucontact, "by username", |server, target| {
        server.post("/api/auth/login").form(&[("username", target.username.as_str()), ("password", WRONG)])
    };
    Ucontact, "by e-mail address", |server, target| {
        server.post("/api/auth/login").form(&[("username", target.email.as_str()), ("password", WRONG)])
    };
    V1, "login", |server, target| json(server, "/api/v1/login", &json!({"email": target.email, "password": WRONG}));
}

// A wrong current password, sent with a valid access token: the same limits.
calls! { REAUTHENTICATIONS:
    Myauth, "change the password", |server, target| {
        put(server, "/auth/users/me", target, &json!({"password": OTHER, "original": WRONG}))
    };
    Myauth, "enable TOTP", |server, target| {
        put(server, "/auth/login/totp", target, &json!({"claim": "000000", "uri": "", "password": WRONG}))
    };
    Myauth, "disable TOTP", |server, target| delete(server, "/auth/login/totp", target, &json!({"original": WRONG}));
    Native, "enable TOTP", |server, target| put(server, "/totp", target, &json!({"code": "000000", "password": WRONG}));
    Native, "disable TOTP", |server, target| delete(server, "/totp", target, &json!({"password": WRONG}));
    Native, "change the password", |server, target| {
        put(server, "/me/password", target, &json!({"current_password": WRONG, "new_password": OTHER}))
    };
    Native, "change the address", |server, target| {
        let body = json!({"email": "elsewhere@example.org", "current_password": WRONG});
        json(server, "/me/email", &body).bearer_auth(&target.access)
    };
    Native, "replace the recovery codes", |server, target| {
        json(server, "/totp/recovery-codes", &json!({"password": WRONG})).bearer_auth(&target.access)
    };
    Native, "delete the account", |server, target| delete(server, "/me", target, &json!({"password": WRONG}));
}

// Sign-up with an address that is taken, or a username that is: `limits.sign_up_address`.
calls! { SIGN_UPS:
    Myauth, "sign-up", |server, target| {
        json(server, "/auth/login/signup", &json!({"email": target.email, "password": OTHER}))
    };
    Codes, "sign-up", |server, target| {
        json(server, "/auth/signup", &json!({"email": target.email, "password": OTHER, "user_name": "somebody"}))
    };
    Ucontact, "register", |server, target| {
        let body = json!({"email": target.email, "password": OTHER, "username": target.username});
        json(server, "/api/auth/register", &body)
    };
    V1, "register", |server, target| {
        let body = json!({"email": target.email, "password": OTHER, "username": target.username});
        json(server, "/api/v1/register", &body)
    };
    Native, "sign-up", |server, target| json(server, "/users", &json!({"email": target.email, "password": OTHER}));
    Native, "change the username", |server, target| {
        let body = json!({"username": target.username});
        server.request(Method::PATCH, "/me").bearer_auth(&target.other_access).json(&body)
    };
}

// Calls that send a mail: `limits.mail_address`, `limits.mail_account`.
calls! { MAILS:
    Unturned, "code", |server, target| json(server, "/auth/verification/send-code", &json!({"email": target.email}));
    Myauth, "magic link", |server, target| server.post(&format!("/auth/login/magic/{}", target.email));
    Myauth, "password reset", |server, target| server.post(&format!("/auth/login/recover/{}", target.email));
    V1, "password reset", |server, target| {
        json(server, "/api/v1/password-reset", &json!({"email": target.email, "username": target.username}))
    };
    Native, "code", |server, target| json(server, "/codes", &json!({"email": target.email}));
    Native, "magic link", |server, target| json(server, "/magic-links", &json!({"email": target.email}));
    Native, "password reset", |server, target| json(server, "/password-resets", &json!({"email": target.email}));
}

/// Sends a mail of the kind of "change the address".
pub(super) const CONFIRM: &str = "confirm the address";

// The same for an existing account: by its id, and as the new address of another user.
calls! { MAILS_TO_ACCOUNTS:
    Codes, "code", |server, target| json(server, "/auth/mail/verify/send", &json!({"user_id": target.id}));
    Myauth, "change the address", |server, target| {
        let body = json!({"email": target.email, "original": PASSWORD});
        server.request(Method::PUT, "/auth/users/me").bearer_auth(&target.other_access).json(&body)
    };
    Native, "change the address", |server, target| {
        let body = json!({"email": target.email, "current_password": PASSWORD});
        json(server, "/me/email", &body).bearer_auth(&target.other_access)
    };
    Native, CONFIRM, |server, target| server.post("/email-confirmations").bearer_auth(&target.access);
}

// A wrong code, link, device secret or MFA token: `limits.code_address`.
calls! { GUESSES:
    Unturned, "code", |server, target| {
        json(server, "/auth/verification/verify-code", &json!({"email": target.email, "code": "000000"}))
    };
    Myauth, "magic link", |server, _target| {
        json(server, "/auth/login/claim", &json!({"claim": "wrong"})).bearer_auth("no.to.ken")
    };
    Myauth, "password reset", |server, _target| {
        json(server, "/auth/login/reset", &json!({"claim": "wrong", "new_password": OTHER})).bearer_auth("no.to.ken")
    };
    Myauth, "second step", |server, _target| {
        json(server, "/auth/login/totp", &json!({"claim": "000000"})).bearer_auth("no.to.ken")
    };
    Codes, "code", |server, target| json(server, "/auth/mail/verify", &json!({"user_id": target.id, "code": "000000"}));
    V1, "password reset", |server, _target| {
        let body = json!({"new_password": OTHER, "new_password_confirm": OTHER});
        json(server, "/api/v1/password-reset-confirm?token=no.to.ken", &body)
    };
    Native, "magic link", |server, _target| {
        json(server, "/links/magic", &json!({"token": "no.to.ken", "claim": "wrong"}))
    };
    Native, "password reset", |server, _target| {
        json(server, "/links/reset", &json!({"token": "no.to.ken", "claim": "wrong", "new_password": OTHER}))
    };
    Native, "code", |server, target| json(server, "/sessions", &json!({"email": target.email, "code": "000000"}));
    Native, "magic link by its new path", |server, _target| {
        json(server, "/magic-links/redeem", &json!({"token": "no.to.ken", "device_secret": "wrong"}))
    };
    Native, "password reset by its new path", |server, _target| {
        let body = json!({"token": "no.to.ken", "device_secret": "wrong", "new_password": OTHER});
        json(server, "/password-resets/redeem", &body)
    };
}

// A wrong TOTP code after the right first factor: `limits.code_address` and `limits.code_account`.
calls! { TOTP_CODES:
    Native, "sign-in", |server, target| {
        let body = json!({"email": target.email, "password": PASSWORD, "totp_code": target.wrong_code()});
        json(server, "/sessions", &body)
    };
    Native, "sign-in with mfa_code", |server, target| {
        let body = json!({"email": target.email, "password": PASSWORD, "mfa_code": target.wrong_code()});
        json(server, "/sessions", &body)
    };
    Myauth, "second step", |server, target| {
        json(server, "/auth/login/totp", &json!({"claim": target.wrong_code()})).bearer_auth(&target.mfa_token)
    };
    Codes, "sign-in", |server, target| {
        let body = json!({"email": target.email, "password": PASSWORD, "otp_code": target.wrong_code()});
        json(server, "/auth/signin/otp", &body)
    };
    Ucontact, "sign-in", |server, target| {
        let totp_code = target.wrong_code();
        let form = [("username", target.email.clone()), ("password", PASSWORD.into()), ("totp_code", totp_code)];
        server.post("/api/auth/login").form(&form)
    };
    V1, "sign-in", |server, target| {
        let body = json!({"email": target.email, "password": PASSWORD, "totp_code": target.wrong_code()});
        json(server, "/api/v1/login", &body)
    };
}

// Disabling TOTP, which sends a mail: the same limits. When they are exhausted, TOTP stays enabled.
calls! { TOTP_DISABLING:
    Native, "disable TOTP", |server, target| delete(server, "/totp", target, &json!({"password": PASSWORD}));
    Myauth, "disable TOTP", |server, target| delete(server, "/auth/login/totp", target, &json!({"original": PASSWORD}));
    Codes, "disable TOTP", |server, target| server.post("/auth/delete/otp").bearer_auth(&target.access);
}
