//! API keys: made, used, and ended again.

use serde_json::json;

use super::{Gone, Visitor};
use crate::faults::ledger::Key;
use crate::faults::traffic::Call;
use crate::support::client::{HttpResponse, text};

impl Visitor {
    pub(super) async fn make_key(&mut self, who: usize, at: usize) -> Result<(), Gone> {
        let access = self.session(who, at).access;
        if self.person(who).project.is_none() {
            let answer = self.ask(Call::MakeKey, self.client.get("/projects").bearer_auth(&access)).await?;
            if answer.status != 200 {
                return self.unmade(who, at, Call::MakeKey, &answer, 200);
            }
            self.person(who).project = Some(text(&answer.body["projects"][0]["id"]));
        }
        let project = self.person(who).project.clone().expect("it was asked for");
        let request = self.client.post("/auth/api-keys/").header("x-project-id", project).bearer_auth(&access);
        let answer = self.ask(Call::MakeKey, request.json(&json!({"name": "a key"}))).await?;
        if answer.status == 201 {
            let [id, whole] = ["id", "full_key"].map(|name| text(&answer.body["data"][name]));
            self.person(who).keys.push(Key { id, whole });
        }
        self.unmade(who, at, Call::MakeKey, &answer, 201)
    }

    pub(super) async fn use_key(&mut self, who: usize) -> Result<(), Gone> {
        let Some(key) = self.person(who).keys.last().cloned() else { return Ok(()) };
        let answer = self.ask(Call::UseKey, self.client.verify_request(&key.whole)).await?;
        self.expect(Call::UseKey, &answer, 200);
        Ok(())
    }

    pub(super) async fn end_key(&mut self, who: usize, at: usize) -> Result<(), Gone> {
        let access = self.session(who, at).access;
        let person = self.person(who);
        if person.keys.len() < 2 {
            return Ok(());
        }
        let project = person.project.clone().expect("a key has one");
        // Without an answer nothing is known of it.
        let key = person.keys.remove(0);
        let request =
            self.client.delete(&format!("/auth/api-keys/{}", key.id), &access).header("x-project-id", project);
        let answer = self.ask(Call::EndKey, request).await?;
        if answer.status == 200 {
            self.person(who).ended_keys.push(key);
        }
        self.unmade(who, at, Call::EndKey, &answer, 200)
    }

    /// What a call by a session's token came to, where that may be refused.
    fn unmade(&mut self, who: usize, at: usize, call: Call, answer: &HttpResponse, good: u16) -> Result<(), Gone> {
        match answer.status {
            401 => self.refused(who, at, format!("{answer:?}")),
            _ => _ = self.expect(call, answer, good),
        }
        Ok(())
    }
}
