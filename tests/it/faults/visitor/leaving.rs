//! Leaving for good: who goes is held to the ledger, deletes the account, and is nobody from then on. So a client can go on for as
//! long as it likes, and neither its page nor a store grows.

use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::json;

use super::{Gone, Visitor};
use crate::faults::ledger::FELT;
use crate::faults::traffic::Call;

impl Visitor {
    /// Lets the person go who is known longest. What they hold is asked for at the other node.
    pub(super) async fn leave(&mut self) -> Result<(), Gone> {
        // While a code is in force, a used one counts as a wrong try, and tries are kept for a day.
        self.use_code(0).await?;
        if self.page.people[0].open.is_empty() {
            self.sign_in(0).await?;
        }
        let Some(access) = self.page.people[0].open.first().map(|held| held.pair.access.clone()) else { return Ok(()) };
        let answer = self.ask(Call::Leave, self.client.delete("/auth/users/me", &access)).await?;
        let person = self.page.people.remove(0);
        if !self.expect(Call::Leave, &answer, 200) {
            // Whether they left is in doubt, and nobody asks about them any more.
            return Ok(());
        }
        let began = Instant::now();
        let tokens = person.open.iter().map(|held| held.pair.access.clone());
        for token in tokens.chain(person.keys.iter().map(|key| key.whole.clone())) {
            // What one node was told, another hears in time.
            while self.ask(Call::AfterLeaving, self.other.verify_request(&token)).await?.status == 200 {
                if began.elapsed() > FELT {
                    self.page.surprises.push(format!("{} has left, and a token is good", person.email));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        for pair in person.open.iter().map(|held| &held.pair).chain(&person.ended) {
            self.is_refused(self.other.refresh_request(&pair.refresh), 400).await?;
        }
        for password in &person.passwords {
            self.is_refused(self.other.sign_in_request(&person.email, password), 401).await?;
        }
        for digits in &person.used {
            let code = json!({"email": person.email, "code": digits});
            self.is_refused(self.other.post("/auth/verification/verify-code").json(&code), 401).await?;
        }
        Ok(())
    }

    async fn is_refused(&mut self, request: RequestBuilder, how: u16) -> Result<(), Gone> {
        let answer = self.ask(Call::AfterLeaving, request).await?;
        self.expect(Call::AfterLeaving, &answer, how);
        Ok(())
    }
}
