//! A simulated client: it signs up, signs in, refreshes, signs out, uses codes and creates keys, one request after the
//! other, and records the acknowledged effects. It reports only responses that are wrong whatever has failed.

mod credentials;
mod deletion;
mod keys;

use std::sync::Arc;
use std::time::Instant;

use reqwest::RequestBuilder;
use serde_json::json;

use super::ledger::{ClientLedger, LedgerUser, MAX_PROPAGATION, OpenSession, Refusal};
use super::traffic::{Call, Endpoint, LoadProfile, Outbox, ROOT, Shared};
use crate::support::client::{Client, HttpResponse, PASSWORD, TokenPair, text};

/// The number of sessions from which on a user opens no more by password.
const MAX_SESSIONS: usize = 4;

/// The calls that a client repeats in this order.
const CYCLE: [Call; 21] = [
    Call::SignIn,
    Call::Verify,
    Call::RequestCode,
    Call::Refresh,
    Call::Admin,
    Call::Refresh,
    Call::UseCode,
    Call::Verify,
    Call::CreateKey,
    Call::Refresh,
    Call::Jwks,
    Call::SignIn,
    Call::Verify,
    Call::UseKey,
    Call::VerifyEnded,
    Call::SignOut,
    Call::Refresh,
    Call::DeactivateKey,
    Call::SignOut,
    Call::ChangePassword,
    Call::SignUp,
];

/// The node has exited, or accepts no more connections.
struct NodeUnreachable;

type Result = std::result::Result<(), NodeUnreachable>;

pub(super) struct SimulatedClient {
    client: Client,
    outbox: Arc<Outbox>,
    /// A client of the next node.
    other: Client,
    profile: LoadProfile,
    ledger: ClientLedger,
    admin_token: Option<String>,
    /// True if the last response was 503.
    last_unavailable: bool,
    shared: Arc<Shared>,
}

impl SimulatedClient {
    pub(super) fn new(
        endpoint: Endpoint,
        other: Client,
        profile: LoadProfile,
        ledger: ClientLedger,
        shared: Arc<Shared>,
    ) -> Self {
        let Endpoint { client, outbox } = endpoint;
        Self { client, outbox, other, profile, ledger, admin_token: None, last_unavailable: false, shared }
    }

    /// Runs until the test stops all clients, or until the node is unreachable.
    pub(super) async fn run(mut self) -> ClientLedger {
        while !self.shared.is_stopped() && self.step().await.is_ok() {
            tokio::time::sleep(self.profile.pause).await;
        }
        self.ledger
    }

    async fn send(
        &mut self,
        call: Call,
        request: RequestBuilder,
    ) -> std::result::Result<HttpResponse, NodeUnreachable> {
        let sent_at = Instant::now();
        match self.client.execute(request).await {
            Ok(response) => {
                self.shared.record(call, sent_at, response.status);
                self.last_unavailable = response.status == 503;
                let body = response.body.to_string();
                let leaks_token = !(200..300).contains(&response.status) && body.contains("_token\":\"");
                let no_retry_after = matches!(response.status, 429 | 503) && response.retry_after().unwrap_or(0) == 0;
                let server_error = response.status >= 500 && response.status != 503;
                if leaks_token || no_retry_after || server_error {
                    self.record_violation(call, &response);
                }
                Ok(response)
            }
            Err(error) => {
                if !error.is_connect() {
                    self.shared.record(call, sent_at, 0);
                }
                self.ledger.stop_reason = Some(format!("{call:?} after {:?}: {error:?}", sent_at.elapsed()));
                Err(NodeUnreachable)
            }
        }
    }

    fn record_violation(&mut self, call: Call, response: &HttpResponse) {
        self.ledger.violations.push(format!("{call:?}: {response:?}"));
    }

    /// Returns whether the call succeeded; any status other than this and 503 is a violation.
    fn expect(&mut self, call: Call, response: &HttpResponse, success: u16) -> bool {
        if response.status != success && response.status != 503 {
            self.record_violation(call, response);
        }
        response.status == success
    }

    async fn step(&mut self) -> Result {
        let (cycle, call) = (self.ledger.step / CYCLE.len(), CYCLE[self.ledger.step % CYCLE.len()]);
        self.ledger.step += 1;
        let users = self.ledger.users.len();
        if users == 0 {
            return self.sign_up().await;
        }
        let user = users - 1 - cycle % users.min(2);
        let step = self.ledger.step;
        match call {
            Call::Jwks => {
                let response = self.send(call, self.client.get("/.well-known/jwks.json")).await?;
                self.expect(call, &response, 200);
                Ok(())
            }
            Call::SignIn => self.sign_in(user).await,
            // Not while a store is down: a new user gets no session, and a password in doubt puts all sessions of its
            // user in doubt. No session would be left for the other calls.
            Call::SignUp if cycle % 4 == 3 && !self.last_unavailable => {
                if self.profile.max_users.is_some_and(|max| users >= max) {
                    self.delete_oldest_user().await?;
                }
                self.sign_up().await
            }
            Call::ChangePassword if cycle % 3 == 2 && !self.last_unavailable => self.change_password(user).await,
            Call::SignUp
            | Call::ChangePassword
            | Call::VerifyRevokedKey
            | Call::DeleteAccount
            | Call::UseDeletedAccount => Ok(()),
            Call::RequestCode => self.request_code(user).await,
            Call::UseCode => self.use_code(user).await,
            Call::Admin => self.list_users().await,
            Call::VerifyEnded => self.verify_ended(user).await,
            Call::Verify | Call::Refresh | Call::SignOut | Call::CreateKey | Call::UseKey | Call::DeactivateKey => {
                let open = self.user(user).sessions.len();
                let Some(session) = step.checked_rem(open) else { return self.sign_in(user).await };
                let access = self.tokens(user, session).access;
                if self.shared.key_revocation(&access).is_some() {
                    return self.replace_token_of_revoked_key(user, session).await;
                }
                match call {
                    Call::Verify => self.verify(user, session).await,
                    Call::Refresh => self.refresh(user, session).await,
                    Call::SignOut if open >= MAX_SESSIONS - 1 => self.sign_out(user, session).await,
                    Call::CreateKey => self.create_key(user, session).await,
                    Call::UseKey => self.use_key(user).await,
                    Call::DeactivateKey => self.deactivate_key(user, session).await,
                    _ => Ok(()),
                }
            }
        }
    }

    fn user(&mut self, user: usize) -> &mut LedgerUser {
        let user = &mut self.ledger.users[user];
        user.changed = true;
        user
    }

    fn tokens(&mut self, user: usize, session: usize) -> TokenPair {
        self.user(user).sessions[session].tokens.clone()
    }

    /// The session was open as far as the client knew, and its token was refused. If the token's key was revoked
    /// meanwhile, the session is still open.
    fn session_refused(&mut self, user: usize, session: usize, response: &HttpResponse) {
        let access = self.tokens(user, session).access;
        if self.shared.key_revocation(&access).is_some() {
            return;
        }
        let session = self.user(user).sessions.swap_remove(session);
        self.record_refusal(&session, response);
    }

    fn record_refusal(&mut self, session: &OpenSession, response: &HttpResponse) {
        if !session.end_in_doubt {
            let OpenSession { requested_at, received_at, .. } = *session;
            self.ledger.refusals.push(Refusal { requested_at, received_at, response: format!("{response:?}") });
        }
    }

    async fn sign_up(&mut self) -> Result {
        let email = format!("{}.{}@example.org", self.ledger.name, self.ledger.users_created);
        self.ledger.users_created += 1;
        let body = json!({"email": email, "password": PASSWORD});
        let response = self.send(Call::SignUp, self.client.post("/auth/login/signup").json(&body)).await?;
        if self.expect(Call::SignUp, &response, 200) {
            let id = text(&response.body["id"]);
            self.ledger.users.push(LedgerUser::new(email, id, PASSWORD.to_owned()));
        }
        Ok(())
    }

    async fn sign_in(&mut self, user: usize) -> Result {
        let ledger_user = self.user(user);
        if ledger_user.sessions.len() >= MAX_SESSIONS {
            return Ok(());
        }
        let (email, password) = (ledger_user.email.clone(), ledger_user.passwords[0].clone());
        let requested_at = Instant::now();
        let response = self.send(Call::SignIn, self.client.sign_in_request(&email, &password)).await?;
        let passwords = &mut self.user(user).passwords;
        if response.status == 401 && passwords.len() > 1 {
            passwords.rotate_left(1);
            return Ok(());
        }
        if self.expect(Call::SignIn, &response, 201) {
            self.user(user).sessions.push(OpenSession::new(response.is(201).tokens(), requested_at));
        }
        Ok(())
    }

    async fn verify(&mut self, user: usize, session: usize) -> Result {
        let access = self.tokens(user, session).access;
        let response = self.send(Call::Verify, self.client.verify_request(&access)).await?;
        match response.status {
            401 => self.session_refused(user, session, &response),
            _ => _ = self.expect(Call::Verify, &response, 200),
        }
        Ok(())
    }

    /// On the node that ended the session, where the token must be refused immediately. The audit checks the other
    /// nodes. Behind a balancer, another node may have to learn of it first.
    async fn verify_ended(&mut self, user: usize) -> Result {
        let Some(access) = self.user(user).ended_sessions.last().map(|tokens| tokens.access.clone()) else {
            return Ok(());
        };
        let began = Instant::now();
        let mut response = self.send(Call::VerifyEnded, self.client.verify_request(&access)).await?;
        while self.profile.is_balanced && response.status == 200 && began.elapsed() < MAX_PROPAGATION {
            tokio::time::sleep(self.profile.pause).await;
            response = self.send(Call::VerifyEnded, self.client.verify_request(&access)).await?;
        }
        let reason = response.rejection_reason();
        let by_key = self.shared.key_revocation(&access).is_some() && reason == Some("revoked_key");
        if reason != Some("revoked") && !by_key {
            self.record_violation(Call::VerifyEnded, &response);
        }
        Ok(())
    }

    /// The key of the session's token is being revoked. As soon as every node knows, the token must be refused; the
    /// session continues with another token.
    async fn replace_token_of_revoked_key(&mut self, user: usize, session: usize) -> Result {
        let (access, sent_at) = (self.tokens(user, session).access, Instant::now());
        let known_since = self.shared.key_revocation(&access).flatten();
        let response = self.send(Call::VerifyRevokedKey, self.client.verify_request(&access)).await?;
        if known_since.is_none_or(|since| sent_at < since) && response.status == 200 {
            return Ok(());
        }
        if response.rejection_reason() != Some("revoked_key") {
            self.record_violation(Call::VerifyRevokedKey, &response);
        }
        self.user(user).tokens_of_revoked_keys.push(access);
        self.refresh(user, session).await
    }

    async fn refresh(&mut self, user: usize, session: usize) -> Result {
        let old = self.tokens(user, session).refresh;
        // Until there is a response, the outcome is unknown.
        self.user(user).sessions[session].rotation_in_doubt = true;
        let response = self.send(Call::Refresh, self.client.refresh_request(&old)).await?;
        match response.status {
            400 => self.session_refused(user, session, &response),
            _ => {
                if self.expect(Call::Refresh, &response, 200) {
                    let session = &mut self.user(user).sessions[session];
                    session.tokens = response.is(200).tokens();
                    (session.previous, session.rotation_in_doubt) = (Some((old, Instant::now())), false);
                }
            }
        }
        Ok(())
    }

    async fn sign_out(&mut self, user: usize, session: usize) -> Result {
        // Without a response, the outcome is unknown.
        let session = self.user(user).sessions.swap_remove(session);
        let response = self.send(Call::SignOut, self.client.sign_out_request(&session.tokens)).await?;
        match response.status {
            401 if self.shared.key_revocation(&session.tokens.access).is_some() => {
                self.user(user).sessions.push(session);
            }
            // The token is known to be revoked, or the session does not exist.
            401 | 404 => self.record_refusal(&session, &response),
            _ => {
                if self.expect(Call::SignOut, &response, 204) {
                    self.user(user).ended_sessions.push(session.tokens);
                }
            }
        }
        Ok(())
    }

    async fn list_users(&mut self) -> Result {
        let Some(access) = self.admin_token.clone() else {
            let response = self.send(Call::SignIn, self.client.sign_in_request(ROOT, PASSWORD)).await?;
            if self.expect(Call::SignIn, &response, 201) {
                self.admin_token = Some(response.is(201).tokens().access);
            }
            return Ok(());
        };
        let response = self.send(Call::Admin, self.client.get("/auth/users/?page=0").bearer_auth(access)).await?;
        if response.status == 401 {
            self.admin_token = None;
        } else {
            self.expect(Call::Admin, &response, 200);
        }
        Ok(())
    }
}
