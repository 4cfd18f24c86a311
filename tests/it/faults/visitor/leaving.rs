//! Leaving for good: who goes is held to the ledger, deletes the account, and is nobody from then on. So a client can go on for as
//! long as it likes, and neither its page nor a store grows.

use super::{Gone, Visitor};
use crate::faults::ledger::Look;
use crate::faults::traffic::Call;

impl Visitor {
    /// Lets the person go who is known longest. What they hold is asked for at the other node.
    pub(super) async fn leave(&mut self) -> Result<(), Gone> {
        // While a code is in force, a used one counts as a wrong try, and tries are kept for a day.
        self.use_code(0).await?;
        self.page.people[0].audit(&self.other, Look::All).await;
        if self.page.people[0].open.is_empty() {
            self.sign_in(0).await?;
        }
        let Some(access) = self.page.people[0].open.first().map(|held| held.pair.access.clone()) else { return Ok(()) };
        let answer = self.ask(Call::Leave, self.client.delete("/auth/users/me", &access)).await?;
        if self.expect(Call::Leave, &answer, 200) {
            self.page.people.remove(0).is_no_more(&self.other).await;
        }
        Ok(())
    }
}
