//! Every sign-up and every sign-in, by the calls that the clients of each dialect make.

use serde_json::{Value, json};

use crate::support::outbox;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer};

/// The calls that create an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignUp {
    UnturnedCode,
    Myauth,
    MyauthMagic,
    Codes,
    Ucontact,
    V1,
    Native,
}

impl SignUp {
    pub(super) const ALL: [Self; 7] =
        [Self::UnturnedCode, Self::Myauth, Self::MyauthMagic, Self::Codes, Self::Ucontact, Self::V1, Self::Native];

    /// True if the sign-up sets a password.
    pub(super) fn has_password(self) -> bool {
        !matches!(self, Self::UnturnedCode | Self::MyauthMagic)
    }

    /// Creates an account, and verifies its address if that is a separate step.
    pub(super) async fn create(self, server: &TestServer, email: &str) {
        self.create_unverified(server, email, "?sendEmail=false").await;
        if self.has_password() {
            server.plan().json(&["users", "show", email], "");
            verify_email(server, email).await;
        }
    }

    /// Creates an account. `query`: that of the sign-up of `v1`.
    pub(super) async fn create_unverified(self, server: &TestServer, email: &str, query: &str) {
        let username = email.split('@').next().unwrap();
        match self {
            Self::UnturnedCode => drop(SignIn::UnturnedCode.attempt(server, email, None).await.tokens()),
            Self::MyauthMagic => drop(SignIn::MyauthMagic.attempt(server, email, None).await.tokens()),
            Self::Myauth => {
                let body = json!({"email": email, "password": PASSWORD, "full_name": "Somebody"});
                server.post("/auth/login/signup").json(&body).send_checked().await.is(200);
            }
            Self::Codes => {
                let name: String = username.chars().take(16).collect();
                let body = json!({"email": email, "password": PASSWORD, "user_name": name});
                server.post("/auth/signup").json(&body).send_checked().await.is(200);
            }
            Self::Ucontact => {
                let body = json!({"email": email, "password": PASSWORD, "username": username});
                server.post("/api/auth/register").json(&body).send_checked().await.is(201);
            }
            Self::V1 => {
                let body = json!({"email": email, "password": PASSWORD, "username": username});
                server.post(&format!("/api/v1/register{query}")).json(&body).send_checked().await.is(201);
            }
            Self::Native => {
                let body = json!({"email": email, "password": PASSWORD, "username": username});
                server.post("/users").json(&body).send_checked().await.is(201);
            }
        }
    }
}

/// Verifies an address by a mailed code.
pub(super) async fn verify_email(server: &TestServer, email: &str) {
    let id = server.plan().json(&["users", "show", email], "")["id"].as_str().unwrap().to_owned();
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, email).len();
    server.post("/auth/mail/verify/send").json(&json!({"user_id": id})).send_checked().await.is(200);
    let code = outbox::wait_for_mail(server, email, before).await.code();
    server.post("/auth/mail/verify").json(&json!({"user_id": id, "code": code})).send_checked().await.is(200);
}

/// The calls that sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignIn {
    Native,
    NativeCode,
    NativeMagic,
    UnturnedCode,
    MyauthPassword,
    MyauthMagic,
    LandingMagic,
    Codes,
    Ucontact,
    UcontactByEmail,
    V1,
}

/// The result of one sign-in.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) sign_in: SignIn,
    pub(super) response: HttpResponse,
}

/// The tokens that a sign-in returned.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl SignIn {
    pub(super) const ALL: [Self; 11] = [
        Self::Native,
        Self::NativeCode,
        Self::NativeMagic,
        Self::UnturnedCode,
        Self::MyauthPassword,
        Self::MyauthMagic,
        Self::LandingMagic,
        Self::Codes,
        Self::Ucontact,
        Self::UcontactByEmail,
        Self::V1,
    ];

    pub(super) fn uses_password(self) -> bool {
        !matches!(
            self,
            Self::UnturnedCode | Self::MyauthMagic | Self::LandingMagic | Self::NativeCode | Self::NativeMagic
        )
    }

    /// Signs in as far as possible: with all that is needed except the second factor, and with that if it is given.
    pub(super) async fn attempt(self, server: &TestServer, email: &str, second: Option<&str>) -> Attempt {
        let username = email.split('@').next().unwrap();
        let with = |mut body: Value, field: &str| {
            if let Some(code) = second {
                body[field] = code.into();
            }
            body
        };
        let response = match self {
            Self::Native => {
                let body = with(json!({"email": email, "password": PASSWORD}), "totp_code");
                server.post("/sessions").json(&body).send_checked().await
            }
            Self::NativeCode => {
                let (_, mail) = request_native(server, "/codes", email).await;
                let body = with(json!({"email": email, "code": mail.code()}), "mfa_code");
                server.post("/sessions").json(&body).send_checked().await
            }
            Self::NativeMagic => {
                let (asked, mail) = request_native(server, "/magic-links", email).await;
                let body = json!({"token": mail.token(), "device_secret": asked["device_secret"]});
                server.post("/magic-links/redeem").json(&with(body, "mfa_code")).send_checked().await
            }
            Self::UnturnedCode => {
                outbox::wait_until_queue_is_empty(server).await;
                let before = outbox::mails(server, email).len();
                server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
                let code = outbox::wait_for_mail(server, email, before).await.code();
                let body = with(json!({"email": email, "code": code}), "totp_code");
                server.post("/auth/verification/verify-code").json(&body).send_checked().await
            }
            Self::MyauthPassword => {
                let form = [("username", email), ("password", PASSWORD)];
                let response = server.form("/auth/login/oauth", &form).await;
                complete_login(server, response, second).await
            }
            Self::MyauthMagic => {
                let (token, claim) = request_magic_link(server, email).await;
                let request = server.post("/auth/login/claim").bearer_auth(token).json(&json!({"claim": claim}));
                complete_login(server, request.send_checked().await, second).await
            }
            Self::LandingMagic => {
                let (token, claim) = request_magic_link(server, email).await;
                let body = with(json!({"token": token, "claim": claim}), "totp_code");
                server.post("/links/magic").json(&body).send_checked().await
            }
            Self::Codes => {
                let body = with(json!({"email": email, "password": PASSWORD}), "otp_code");
                let path = if second.is_some() { "/auth/signin/otp" } else { "/auth/signin" };
                server.post(path).json(&body).send_checked().await
            }
            Self::Ucontact | Self::UcontactByEmail => {
                let name = if self == Self::Ucontact { username } else { email };
                let mut form = vec![("username", name), ("password", PASSWORD)];
                form.extend(second.map(|code| ("totp_code", code)));
                server.form("/api/auth/login", &form).await
            }
            Self::V1 => {
                let body = with(json!({"email": email, "password": PASSWORD}), "totp_code");
                server.post("/api/v1/login").json(&body).send_checked().await
            }
        };
        Attempt { sign_in: self, response }
    }
}

/// Requests a mail of the native API; returns the response and the mail.
pub(super) async fn request_native(server: &TestServer, path: &str, email: &str) -> (Value, outbox::Mail) {
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, email).len();
    let asked = server.post(path).json(&json!({"email": email})).send_checked().await.is(202).json();
    (asked, outbox::wait_for_mail(server, email, before).await)
}

pub(super) async fn request_magic_link(server: &TestServer, email: &str) -> (String, String) {
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, email).len();
    let response = server.post(&format!("/auth/login/magic/{email}")).send_checked().await;
    let claim = response.is(200).json()["claim"].as_str().unwrap().to_owned();
    (outbox::wait_for_mail(server, email, before).await.token(), claim)
}

/// Completes a sign-in of `myauth`, whose first step returned an MFA token if TOTP is enabled.
async fn complete_login(server: &TestServer, response: HttpResponse, second: Option<&str>) -> HttpResponse {
    match second {
        Some(code) if response.status == 200 => {
            let mfa_token = response.json()["access_token"].as_str().unwrap().to_owned();
            server.post("/auth/login/totp").bearer_auth(mfa_token).json(&json!({"claim": code})).send_checked().await
        }
        _ => response,
    }
}

impl Attempt {
    /// Asserts that the sign-in is complete; returns its tokens.
    #[track_caller]
    pub(super) fn tokens(&self) -> Tokens {
        assert!(matches!(self.response.status, 200 | 201), "{self:?}");
        let body = self.response.json();
        let body = if self.sign_in == SignIn::UnturnedCode { &body["data"] } else { &body };
        let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned();
        Tokens { access: text("access_token"), refresh: text("refresh_token") }
    }

    /// Asserts that the response asks for the second factor, in the form of its dialect.
    #[track_caller]
    pub(super) fn requires_mfa(&self) {
        let Self { sign_in, response } = self;
        let body = response.json();
        match sign_in {
            SignIn::Native | SignIn::NativeCode | SignIn::NativeMagic | SignIn::LandingMagic => {
                response.is_problem(401, "mfa_required");
            }
            SignIn::UnturnedCode => {
                assert_eq!((response.status, &body["error"]["code"]), (401, &"totp_required".into()))
            }
            SignIn::MyauthPassword | SignIn::MyauthMagic => {
                assert_eq!((response.status, &body["refresh_token"]), (200, &Value::Null), "{self:?}");
            }
            SignIn::Codes => assert_eq!((response.status, &body), (200, &json!({"error_code": "150"}))),
            SignIn::Ucontact | SignIn::UcontactByEmail => {
                assert_eq!((response.status, &body["detail"]), (401, &"totp_required".into()));
            }
            SignIn::V1 => assert_eq!(response.status, 401),
        }
        let token_free = !matches!(sign_in, SignIn::MyauthPassword | SignIn::MyauthMagic);
        assert!(!(token_free && response.text.contains("access_token")), "{self:?}");
        assert!(!response.text.contains("\"refresh_token\":\""), "{self:?}");
    }
}
