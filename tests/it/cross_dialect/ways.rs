//! Every way to get an account, and every way in, by the calls that clients of each dialect make.

use serde_json::{Value, json};

use crate::support::outbox;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer};

/// The ways to make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignUp {
    UnturnedCode,
    Myauth,
    MyauthMagic,
    Codes,
    Ucontact,
    V1,
}

impl SignUp {
    pub(super) const ALL: [Self; 6] =
        [Self::UnturnedCode, Self::Myauth, Self::MyauthMagic, Self::Codes, Self::Ucontact, Self::V1];

    /// Whether the account has a password from the start.
    pub(super) fn with_password(self) -> bool {
        !matches!(self, Self::UnturnedCode | Self::MyauthMagic)
    }

    /// Makes an account, and confirms its address where that is another step.
    pub(super) async fn make(self, server: &TestServer, email: &str) {
        let username = email.split('@').next().unwrap();
        match self {
            Self::UnturnedCode => drop(Way::UnturnedCode.enter(server, email, None).await.let_in()),
            Self::MyauthMagic => drop(Way::MyauthMagic.enter(server, email, None).await.let_in()),
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
                server.post("/api/v1/register?sendEmail=false").json(&body).send_checked().await.is(201);
            }
        }
        if self.with_password() {
            server.plan().json(&["users", "show", email], "");
            confirm(server, email).await;
        }
    }
}

/// Confirms an address by a mailed code.
async fn confirm(server: &TestServer, email: &str) {
    let id = server.plan().json(&["users", "show", email], "")["id"].as_str().unwrap().to_owned();
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, email).len();
    server.post("/auth/mail/verify/send").json(&json!({"user_id": id})).send_checked().await.is(200);
    let code = outbox::wait_for_mail(server, email, before).await.code();
    server.post("/auth/mail/verify").json(&json!({"user_id": id, "code": code})).send_checked().await.is(200);
}

/// The ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Native,
    UnturnedCode,
    MyauthPassword,
    MyauthMagic,
    LandingMagic,
    Codes,
    Ucontact,
    UcontactByEmail,
    V1,
}

/// What became of trying one.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) way: Way,
    pub(super) answer: HttpResponse,
}

/// The tokens that a way in gave.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Way {
    pub(super) const ALL: [Self; 9] = [
        Self::Native,
        Self::UnturnedCode,
        Self::MyauthPassword,
        Self::MyauthMagic,
        Self::LandingMagic,
        Self::Codes,
        Self::Ucontact,
        Self::UcontactByEmail,
        Self::V1,
    ];

    pub(super) fn by_password(self) -> bool {
        !matches!(self, Self::UnturnedCode | Self::MyauthMagic | Self::LandingMagic)
    }

    /// Goes it as far as it leads: with everything but the second factor, and with that if there is one.
    pub(super) async fn enter(self, server: &TestServer, email: &str, second: Option<&str>) -> Tried {
        let username = email.split('@').next().unwrap();
        let with = |mut body: Value, field: &str| {
            if let Some(code) = second {
                body[field] = code.into();
            }
            body
        };
        let answer = match self {
            Self::Native => {
                let body = with(json!({"email": email, "password": PASSWORD}), "totp_code");
                server.post("/sessions").json(&body).send_checked().await
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
                let answer = server.form("/auth/login/oauth", &form).await;
                second_step(server, answer, second).await
            }
            Self::MyauthMagic => {
                let (token, claim) = magic(server, email).await;
                let ask = server.post("/auth/login/claim").bearer_auth(token).json(&json!({"claim": claim}));
                second_step(server, ask.send_checked().await, second).await
            }
            Self::LandingMagic => {
                let (token, claim) = magic(server, email).await;
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
        Tried { way: self, answer }
    }
}

async fn magic(server: &TestServer, email: &str) -> (String, String) {
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, email).len();
    let answer = server.post(&format!("/auth/login/magic/{email}")).send_checked().await;
    let claim = answer.is(200).json()["claim"].as_str().unwrap().to_owned();
    (outbox::wait_for_mail(server, email, before).await.token(), claim)
}

/// Where `myauth` asks for the second factor, it has given a token for that step alone.
async fn second_step(server: &TestServer, answer: HttpResponse, second: Option<&str>) -> HttpResponse {
    match second {
        Some(code) if answer.status == 200 => {
            let step = answer.json()["access_token"].as_str().unwrap().to_owned();
            server.post("/auth/login/totp").bearer_auth(step).json(&json!({"claim": code})).send_checked().await
        }
        _ => answer,
    }
}

impl Tried {
    /// Demands that it led inside.
    #[track_caller]
    pub(super) fn let_in(&self) -> Inside {
        assert!(matches!(self.answer.status, 200 | 201), "{self:?}");
        let body = self.answer.json();
        let body = if self.way == Way::UnturnedCode { &body["data"] } else { &body };
        let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {self:?}")).to_owned();
        Inside { access: text("access_token"), refresh: text("refresh_token") }
    }

    /// Demands that it stopped at the second factor, in the words of its dialect.
    #[track_caller]
    pub(super) fn is_due(&self) {
        let Self { way, answer } = self;
        let body = answer.json();
        match way {
            Way::Native | Way::LandingMagic => drop(answer.is_problem(401, "mfa_required")),
            Way::UnturnedCode => assert_eq!((answer.status, &body["error"]["code"]), (401, &"totp_required".into())),
            Way::MyauthPassword | Way::MyauthMagic => {
                assert_eq!((answer.status, &body["refresh_token"]), (200, &Value::Null), "{self:?}");
            }
            Way::Codes => assert_eq!((answer.status, &body), (200, &json!({"error_code": "150"}))),
            Way::Ucontact | Way::UcontactByEmail => {
                assert_eq!((answer.status, &body["detail"]), (401, &"totp_required".into()));
            }
            Way::V1 => assert_eq!(answer.status, 401),
        }
        let telling = !matches!(way, Way::MyauthPassword | Way::MyauthMagic);
        assert!(!(telling && answer.text.contains("access_token")), "{self:?}");
        assert!(!answer.text.contains("\"refresh_token\":\""), "{self:?}");
    }
}
