//! API keys: created, used and deactivated.

use serde_json::json;

use super::{Result, SimulatedClient};
use crate::faults::ledger::ApiKey;
use crate::faults::traffic::Call;
use crate::support::client::{HttpResponse, text};

impl SimulatedClient {
    pub(super) async fn create_key(&mut self, user: usize, session: usize) -> Result {
        let access = self.tokens(user, session).access;
        if self.user(user).project.is_none() {
            let response = self.send(Call::CreateKey, self.client.get("/projects").bearer_auth(&access)).await?;
            if response.status != 200 {
                return self.expect_or_refused(user, session, Call::CreateKey, &response, 200);
            }
            self.user(user).project = Some(text(&response.body["projects"][0]["id"]));
        }
        let project = self.user(user).project.clone().expect("it was fetched above");
        let request = self.client.post("/auth/api-keys/").header("x-project-id", project).bearer_auth(&access);
        let response = self.send(Call::CreateKey, request.json(&json!({"name": "a key"}))).await?;
        if response.status == 201 {
            let [id, secret] = ["id", "full_key"].map(|name| text(&response.body["data"][name]));
            self.user(user).api_keys.push(ApiKey { id, secret });
        }
        self.expect_or_refused(user, session, Call::CreateKey, &response, 201)
    }

    pub(super) async fn use_key(&mut self, user: usize) -> Result {
        let Some(key) = self.user(user).api_keys.last().cloned() else { return Ok(()) };
        let response = self.send(Call::UseKey, self.client.verify_request(&key.secret)).await?;
        self.expect(Call::UseKey, &response, 200);
        Ok(())
    }

    pub(super) async fn deactivate_key(&mut self, user: usize, session: usize) -> Result {
        let access = self.tokens(user, session).access;
        let ledger_user = self.user(user);
        if ledger_user.api_keys.len() < 2 {
            return Ok(());
        }
        let project = ledger_user.project.clone().expect("a user with keys has a project");
        // Without a response, the outcome is unknown.
        let key = ledger_user.api_keys.remove(0);
        let path = format!("/auth/api-keys/{}", key.id);
        let request = self.client.delete(&path, &access).header("x-project-id", project);
        let response = self.send(Call::DeactivateKey, request).await?;
        if response.status == 200 {
            self.user(user).deactivated_keys.push(key);
        }
        self.expect_or_refused(user, session, Call::DeactivateKey, &response, 200)
    }

    /// Handles the response to a call whose access token may be refused.
    fn expect_or_refused(
        &mut self,
        user: usize,
        session: usize,
        call: Call,
        response: &HttpResponse,
        success: u16,
    ) -> Result {
        match response.status {
            401 => self.session_refused(user, session, response),
            _ => _ = self.expect(call, response, success),
        }
        Ok(())
    }
}
