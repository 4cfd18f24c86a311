//! One token of every kind, made through the API of every dialect, and a request in which each is valid.

use reqwest::Method;
use serde_json::{Value, json};

use super::outbox::wait_for_mail;
use super::server::{HttpResponse, PASSWORD, SendRequest, TestServer, TestUser, TokenPair};
use super::totp::{code, enable_totp};

/// The purpose of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    /// An access token that was issued for an API key.
    Client,
    Refresh,
    ApiKey,
    /// The token for the second step of a `myauth` sign-in.
    Step,
    Magic,
    Confirm,
    /// The mailed token of a reset that also needs the device secret.
    Reset,
    /// A reset without a device secret.
    WholeReset,
}

impl TokenKind {
    /// Returns true for access tokens, whoever has them.
    pub(crate) fn is_access(self) -> bool {
        matches!(self, Self::Access | Self::Client)
    }

    /// Returns true for the signed tokens that are for Signet alone.
    pub(crate) fn is_action(self) -> bool {
        matches!(self, Self::Step | Self::Magic | Self::Confirm | Self::Reset | Self::WholeReset)
    }
}

pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) dialect: &'static str,
    pub(crate) text: String,
}

/// A token of every kind and dialect, and the secrets that belong to them.
pub(crate) struct TokenSet {
    pub(crate) tokens: Vec<Token>,
    pub(crate) owner: Owner,
    pub(crate) totp: String,
    pub(crate) magic_device_secret: String,
    pub(crate) reset_device_secret: String,
}

/// A superuser, and the tokens and ids that belong to it.
pub(crate) struct Owner {
    pub(crate) user: TestUser,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
    pub(crate) project: String,
    pub(crate) key: String,
    pub(crate) key_id: String,
    /// Another user, whom the superuser can manage.
    pub(crate) other_user: TestUser,
}

impl Owner {
    const ARGUMENTS: [&str; 2] = ["--verified", "--superuser"];

    /// Creates the users of so many owners.
    pub(crate) fn prepare(server: &TestServer, count: usize) {
        server.prepare_users(count, &Self::ARGUMENTS);
        server.prepare_users(count, &[]);
    }

    pub(crate) async fn new(server: &TestServer) -> Self {
        let (user, other_user) = (server.create_user(&Self::ARGUMENTS), server.create_user(&[]));
        let TokenPair { access, refresh, session } = server.sign_in(&user).await;
        let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
        let project = text(&projects["projects"][0], "id");
        let created = server.post("/auth/api-keys/").header("x-project-id", &project).bearer_auth(&access);
        let scopes = ["introspect", "revoke", "admin", "billing:write"];
        let created = created.json(&json!({"name": "a key", "scopes": scopes})).send_checked().await.is(201).json();
        let (key, key_id) = (text(&created["data"], "full_key"), text(&created["data"], "id"));
        Self { user, access, refresh, session, project, key, key_id, other_user }
    }

    /// Exchanges the API key for an access token.
    pub(crate) async fn client_token(&self, server: &TestServer) -> String {
        server.client_token(&self.key).await
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field}: {value}")).to_owned()
}

impl TokenSet {
    /// Makes one token of every kind and dialect.
    pub(crate) async fn make(server: &TestServer) -> Self {
        let mut tokens = Vec::new();
        let mut add = |kind, dialect, text: String| tokens.push(Token { kind, dialect, text });
        let user = server.create_user(&["--verified", "--superuser"]);
        let email = user.email.as_str();
        let password_sign_in = json!({"email": email, "password": PASSWORD});
        server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
        let mailed_code = wait_for_mail(server, email, 0).await.code();
        let code_sign_in = json!({"email": email, "code": mailed_code});
        let unturned =
            server.post("/auth/verification/verify-code").json(&code_sign_in).send_checked().await.is(200).json();
        let form = [("username", email), ("password", PASSWORD)];
        for (dialect, response) in [
            ("native", server.post("/sessions").json(&password_sign_in).send_checked().await.is(201).json()),
            ("unturned", unturned["data"].clone()),
            ("myauth", server.form("/auth/login/oauth", &form).await.is(200).json()),
            ("codes", server.post("/auth/signin").json(&password_sign_in).send_checked().await.is(200).json()),
            ("ucontact", server.form("/api/auth/login", &form).await.is(200).json()),
            ("v1", server.post("/api/v1/login").json(&password_sign_in).send_checked().await.is(200).json()),
        ] {
            add(TokenKind::Access, dialect, text(&response, "access_token"));
            add(TokenKind::Refresh, dialect, text(&response, "refresh_token"));
        }
        // Of a superuser, with an API key that has every scope.
        let owner = Owner::new(server).await;
        add(TokenKind::Client, "native", owner.client_token(server).await);
        add(TokenKind::ApiKey, "native", owner.key.clone());

        // Confirmations: of an address change, and of two sign-ups.
        let changing = server.create_user(&[]);
        let session = server.sign_in(&changing).await;
        let change = json!({"email": "changed@example.org", "original": PASSWORD});
        server
            .request(Method::PUT, "/auth/users/me")
            .bearer_auth(&session.access)
            .json(&change)
            .send_checked()
            .await
            .is(200);
        add(TokenKind::Confirm, "myauth", wait_for_mail(server, "changed@example.org", 0).await.token());
        for (dialect, path, name) in
            [("ucontact", "/api/auth/register", "new-one"), ("v1", "/api/v1/register", "new-two")]
        {
            let email = format!("{name}@example.org");
            let body = json!({"email": email, "username": name, "password": PASSWORD});
            server.post(path).json(&body).send_checked().await.is(201);
            add(TokenKind::Confirm, dialect, wait_for_mail(server, &email, 0).await.token());
        }

        let magic = server.create_user(&[]).email;
        let device_secret = server.post(&format!("/auth/login/magic/{magic}")).send_checked().await.is(200).json();
        add(TokenKind::Magic, "myauth", wait_for_mail(server, &magic, 0).await.token());
        let forgetful = server.create_user(&[]).email;
        let reset_device_secret =
            server.post(&format!("/auth/login/recover/{forgetful}")).send_checked().await.is(200).json();
        add(TokenKind::Reset, "myauth", wait_for_mail(server, &forgetful, 0).await.token());
        let forgetful_v1 = server.create_user(&["--verified"]);
        let reset_request = json!({"email": forgetful_v1.email, "username": forgetful_v1.username});
        server.post("/api/v1/password-reset").json(&reset_request).send_checked().await.is(200);
        add(TokenKind::WholeReset, "v1", wait_for_mail(server, &forgetful_v1.email, 0).await.token());

        let second = server.create_user(&[]);
        let (totp, _) = enable_totp(server, &server.sign_in(&second).await.access, PASSWORD).await;
        let form = [("username", second.email.as_str()), ("password", PASSWORD)];
        add(
            TokenKind::Step,
            "myauth",
            text(&server.form("/auth/login/oauth", &form).await.is(200).json(), "access_token"),
        );
        let (magic_device_secret, reset_device_secret) =
            (text(&device_secret, "claim"), text(&reset_device_secret, "claim"));
        Self { tokens, owner, totp, magic_device_secret, reset_device_secret }
    }

    /// A request in which tokens of this kind are valid, with `text` as the token; a valid link is used up.
    pub(crate) async fn redeem(&self, server: &TestServer, kind: TokenKind, text: &str) -> HttpResponse {
        let by = |path: &str, body: Value| server.post(path).bearer_auth(text).json(&body);
        match kind {
            TokenKind::Access | TokenKind::Client | TokenKind::ApiKey => {
                server.get("/verify").bearer_auth(text).send_checked().await
            }
            TokenKind::Refresh => server.refresh(text).await,
            TokenKind::Step => by("/auth/login/totp", json!({"claim": code(&self.totp, 1)})).send_checked().await,
            TokenKind::Magic => {
                by("/auth/login/claim", json!({"claim": self.magic_device_secret})).send_checked().await
            }
            TokenKind::Confirm => server.get(&format!("/api/auth/confirmed_email/{text}")).send_checked().await,
            TokenKind::Reset => {
                by(
                    "/auth/login/reset",
                    json!({"claim": self.reset_device_secret, "new_password": "another quiet harbour"}),
                )
                .send_checked()
                .await
            }
            TokenKind::WholeReset => {
                let body =
                    json!({"new_password": "another quiet harbour", "new_password_confirm": "another quiet harbour"});
                let request = server.post(&format!("/api/v1/password-reset-confirm?token={text}"));
                request.json(&body).send_checked().await
            }
        }
    }
}
