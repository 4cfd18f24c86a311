//! Account deletion: the client audits what the user holds, deletes the account, and checks that none of its
//! credentials works any more. A client can therefore run for as long as needed while neither its ledger nor a store
//! grows.

use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::json;

use super::{Result, SimulatedClient};
use crate::faults::ledger::MAX_PROPAGATION;
use crate::faults::traffic::Call;

impl SimulatedClient {
    /// Deletes the oldest user. The other node checks the user's credentials.
    pub(super) async fn delete_oldest_user(&mut self) -> Result {
        // While a code is valid, each use of an old code counts as a failed attempt, and those are kept for a day.
        self.use_code(0).await?;
        if self.ledger.users[0].sessions.is_empty() {
            self.sign_in(0).await?;
        }
        let first = self.ledger.users[0].sessions.first();
        let Some(access) = first.map(|session| session.tokens.access.clone()) else { return Ok(()) };
        let response = self.send(Call::DeleteAccount, self.client.delete("/auth/users/me", &access)).await?;
        let user = self.ledger.users.remove(0);
        if !self.expect(Call::DeleteAccount, &response, 200) {
            // The deletion is in doubt, and the ledger does not need the user any more.
            return Ok(());
        }
        let began = Instant::now();
        let tokens = user.sessions.iter().map(|session| session.tokens.access.clone());
        for token in tokens.chain(user.api_keys.iter().map(|key| key.secret.clone())) {
            // The deletion takes time to reach the other node.
            while self.send(Call::UseDeletedAccount, self.other.verify_request(&token)).await?.status == 200 {
                if began.elapsed() > MAX_PROPAGATION {
                    self.ledger.violations.push(format!("{} is deleted, and a token is valid", user.email));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        for tokens in user.sessions.iter().map(|session| &session.tokens).chain(&user.ended_sessions) {
            self.expect_refusal(self.other.refresh_request(&tokens.refresh), 400).await?;
        }
        for password in &user.passwords {
            self.expect_refusal(self.other.sign_in_request(&user.email, password), 401).await?;
        }
        for digits in &user.used_codes {
            let code = json!({"email": user.email, "code": digits});
            self.expect_refusal(self.other.post("/auth/verification/verify-code").json(&code), 401).await?;
        }
        Ok(())
    }

    async fn expect_refusal(&mut self, request: RequestBuilder, status: u16) -> Result {
        let response = self.send(Call::UseDeletedAccount, request).await?;
        self.expect(Call::UseDeletedAccount, &response, status);
        Ok(())
    }
}
