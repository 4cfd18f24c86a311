//! Mailed codes and password changes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{NodeUnreachable, Result, SimulatedClient};
use crate::faults::ledger::{MailedCode, OpenSession, Refusal};
use crate::faults::traffic::{Call, ROOT};
use crate::support::client::{PASSWORD, TokenPair, sid, text};

/// How long a client waits for a mailed code. The mail thread gives way to all others, so that on a machine that is
/// busy with other tests it may get no processor for some time.
const MAX_MAIL_DELAY: Duration = Duration::from_secs(60);

/// How long a client waits for a code before it checks that the node is still there.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

impl SimulatedClient {
    pub(super) async fn request_code(&mut self, user: usize) -> Result {
        if self.user(user).code.is_some() {
            return Ok(());
        }
        if !self.user(user).verified {
            self.verify_address(user).await;
            return Ok(());
        }
        let (email, requested_at) = (self.user(user).email.clone(), Instant::now());
        // Discard a code that was requested before and arrived late.
        self.outbox.code(&email);
        let request = self.client.post("/auth/verification/send-code").json(&json!({"email": email}));
        let response = self.send(Call::RequestCode, request).await?;
        if !self.expect(Call::RequestCode, &response, 202) {
            return Ok(());
        }
        while requested_at.elapsed() < MAX_MAIL_DELAY {
            let checked_at = Instant::now();
            while checked_at.elapsed() < CHECK_INTERVAL {
                if let Some(digits) = self.outbox.code(&email) {
                    let received_at = Instant::now();
                    self.user(user).code = Some(MailedCode { digits, requested_at, received_at, in_doubt: false });
                    return Ok(());
                }
                if self.shared.is_stopped() {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // A node that was killed after its response has lost the mail: the queue is in its memory.
            if let Err(error) = self.client.execute(self.client.get("/.well-known/jwks.json")).await {
                self.ledger.stop_reason = Some(format!("waiting for a code: {error:?}"));
                return Err(NodeUnreachable);
            }
        }
        self.ledger.violations.push(format!("no code was mailed to {email}"));
        Ok(())
    }

    /// Lets an administrator verify the address, if the node is able to. The first sign-in by code to an account that is
    /// not verified would remove everything that the ledger has of it.
    async fn verify_address(&mut self, user: usize) {
        let Some(root) = self.client.try_sign_in(ROOT).await.filter(|response| response.status == 201) else { return };
        let path = format!("/auth/users/{}", self.user(user).id);
        let request = self.client.post(&path).bearer_auth(root.tokens().access).json(&json!({"email_validated": true}));
        let verified = self.client.send(request).await;
        self.user(user).verified = verified.is_some_and(|response| response.status == 200);
    }

    pub(super) async fn use_code(&mut self, user: usize) -> Result {
        let Some(code) = self.user(user).code.take() else { return Ok(()) };
        let MailedCode { digits, requested_at, received_at, in_doubt } = code;
        let (email, sent_at) = (self.user(user).email.clone(), Instant::now());
        let body = json!({"email": email, "code": digits});
        let request = self.client.post("/auth/verification/verify-code").json(&body);
        let response = self.send(Call::UseCode, request).await?;
        match response.status {
            401 if in_doubt => self.user(user).used_codes.push(digits),
            401 => {
                let response = format!("{response:?}");
                self.ledger.refusals.push(Refusal { requested_at, received_at, response });
            }
            503 => self.user(user).code = Some(MailedCode { digits, requested_at, received_at, in_doubt: true }),
            _ => {
                if self.expect(Call::UseCode, &response, 200) {
                    let [access, refresh] =
                        ["access_token", "refresh_token"].map(|name| text(&response.body["data"][name]));
                    let tokens = TokenPair { session: sid(&access), access, refresh };
                    self.user(user).used_codes.push(digits);
                    self.user(user).sessions.push(OpenSession::new(tokens, sent_at));
                }
            }
        }
        Ok(())
    }

    pub(super) async fn change_password(&mut self, user: usize) -> Result {
        let step = self.ledger.step;
        let ledger_user = self.user(user);
        let [old] = ledger_user.passwords.as_slice() else { return Ok(()) };
        let (old, new) = (old.clone(), format!("{PASSWORD} {step}"));
        let Some(access) = ledger_user.sessions.first().map(|session| session.tokens.access.clone()) else {
            return Ok(());
        };
        // The change ends all sessions. Until there is a response, the outcome is unknown.
        let in_doubt: Vec<_> = ledger_user.sessions.iter().map(|session| session.end_in_doubt).collect();
        ledger_user.sessions.iter_mut().for_each(|session| session.end_in_doubt = true);
        ledger_user.passwords = vec![old.clone(), new.clone()];
        let body = json!({"original": old, "password": new});
        let request = self.client.http.put(format!("{}/auth/users/me", self.client.base));
        let response = self.send(Call::ChangePassword, request.bearer_auth(access).json(&body)).await?;
        let ledger_user = self.user(user);
        if response.status == 401 {
            ledger_user.passwords = vec![old];
            let sessions = ledger_user.sessions.iter_mut().zip(in_doubt);
            sessions.for_each(|(session, in_doubt)| session.end_in_doubt = in_doubt);
            self.session_refused(user, 0, &response);
        } else if response.status == 200 {
            (ledger_user.passwords, ledger_user.old_password) = (vec![new], Some(old));
            let sessions = std::mem::take(&mut ledger_user.sessions);
            ledger_user.ended_sessions.extend(sessions.into_iter().map(|session| session.tokens));
        } else {
            self.expect(Call::ChangePassword, &response, 200);
        }
        Ok(())
    }
}
