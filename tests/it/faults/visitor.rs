//! One client's day: it signs up, signs in, refreshes, signs out, uses codes, makes keys, each after the other, and writes down what
//! it was told. Judges only what must never be told, whatever has failed.

mod keys;
mod leaving;

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::json;

use super::ledger::{Code, Held, Page, Person, Refusal};
use super::traffic::{Call, Habits, Outbox, Place, ROOT, Shared};
use crate::support::client::{HttpResponse, Client, PASSWORD, TokenPair, sid, text};

/// With so many sessions, a person opens no more by password.
const ENOUGH: usize = 4;

const DAY: [Call; 21] = [
    Call::SignIn,
    Call::Verify,
    Call::AskCode,
    Call::Refresh,
    Call::Admin,
    Call::Refresh,
    Call::UseCode,
    Call::Verify,
    Call::MakeKey,
    Call::Refresh,
    Call::Jwks,
    Call::SignIn,
    Call::Verify,
    Call::UseKey,
    Call::VerifyEnded,
    Call::SignOut,
    Call::Refresh,
    Call::EndKey,
    Call::SignOut,
    Call::NewPassword,
    Call::SignUp,
];

/// The node is gone, or takes nobody in any more.
struct Gone;

/// One client, about its day.
pub(super) struct Visitor {
    client: Client,
    outbox: Arc<Outbox>,
    /// The next node.
    other: Client,
    habits: Habits,
    page: Page,
    root: Option<String>,
    /// Whether the last answer was 503.
    turned_away: bool,
    shared: Arc<Shared>,
}

impl Visitor {
    pub(super) fn new(place: Place, other: Client, habits: Habits, page: Page, shared: Arc<Shared>) -> Self {
        let Place { client, outbox } = place;
        Self { client, outbox, other, habits, page, root: None, turned_away: false, shared }
    }

    /// Goes on until all are sent home, or until there is nobody to ask.
    pub(super) async fn live(mut self) -> Page {
        while !self.shared.is_over() && self.step().await.is_ok() {
            tokio::time::sleep(self.habits.pace).await;
        }
        self.page
    }

    async fn ask(&mut self, call: Call, request: RequestBuilder) -> Result<HttpResponse, Gone> {
        let asked = Instant::now();
        match self.client.execute(request).await {
            Ok(answer) => {
                self.shared.hear(call, asked, answer.status);
                self.turned_away = answer.status == 503;
                let body = answer.body.to_string();
                let telling = !(200..300).contains(&answer.status) && body.contains("_token\":\"");
                let endless = matches!(answer.status, 429 | 503) && answer.retry_after().unwrap_or(0) == 0;
                let broken = answer.status >= 500 && answer.status != 503;
                if telling || endless || broken {
                    self.surprise(call, &answer);
                }
                Ok(answer)
            }
            Err(error) => {
                if !error.is_connect() {
                    self.shared.hear(call, asked, 0);
                }
                self.page.gone = Some(format!("{call:?} after {:?}: {error:?}", asked.elapsed()));
                Err(Gone)
            }
        }
    }

    fn surprise(&mut self, call: Call, answer: &HttpResponse) {
        self.page.surprises.push(format!("{call:?}: {answer:?}"));
    }

    /// What is neither a success nor 503 is a surprise.
    fn expect(&mut self, call: Call, answer: &HttpResponse, good: u16) -> bool {
        if answer.status != good && answer.status != 503 {
            self.surprise(call, answer);
        }
        answer.status == good
    }

    async fn step(&mut self) -> Result<(), Gone> {
        let (day, call) = (self.page.turn / DAY.len(), DAY[self.page.turn % DAY.len()]);
        self.page.turn += 1;
        let people = self.page.people.len();
        if people == 0 {
            return self.sign_up().await;
        }
        let who = people - 1 - day % people.min(2);
        let turn = self.page.turn;
        match call {
            Call::Jwks => {
                let answer = self.ask(call, self.client.get("/.well-known/jwks.json")).await?;
                self.expect(call, &answer, 200);
                Ok(())
            }
            Call::SignIn => self.sign_in(who).await,
            // Not while something is gone: who is new gets no session, and a password in doubt puts all of a person's sessions in
            // doubt. Nothing would be left with which to ask for the rest.
            Call::SignUp if day % 4 == 3 && !self.turned_away => {
                if self.habits.company.is_some_and(|most| people >= most) {
                    self.leave().await?;
                }
                self.sign_up().await
            }
            Call::NewPassword if day % 3 == 2 && !self.turned_away => self.change_password(who).await,
            Call::SignUp | Call::NewPassword | Call::VerifyRevoked | Call::Leave | Call::AfterLeaving => Ok(()),
            Call::AskCode => self.ask_code(who).await,
            Call::UseCode => self.use_code(who).await,
            Call::Admin => self.administer().await,
            Call::VerifyEnded => self.verify_ended(who).await,
            Call::Verify | Call::Refresh | Call::SignOut | Call::MakeKey | Call::UseKey | Call::EndKey => {
                let open = self.person(who).open.len();
                let Some(at) = turn.checked_rem(open) else { return self.sign_in(who).await };
                let access = self.session(who, at).access;
                if self.shared.revoked(&access).is_some() {
                    return self.leave_behind(who, at).await;
                }
                match call {
                    Call::Verify => self.verify(who, at).await,
                    Call::Refresh => self.refresh(who, at).await,
                    Call::SignOut if open >= ENOUGH - 1 => self.sign_out(who, at).await,
                    Call::MakeKey => self.make_key(who, at).await,
                    Call::UseKey => self.use_key(who).await,
                    Call::EndKey => self.end_key(who, at).await,
                    _ => Ok(()),
                }
            }
        }
    }

    fn person(&mut self, who: usize) -> &mut Person {
        let person = &mut self.page.people[who];
        person.touched = true;
        person
    }

    fn session(&mut self, who: usize, at: usize) -> TokenPair {
        self.person(who).open[at].pair.clone()
    }

    /// It was open as far as anybody knew. If its token's key was revoked meanwhile, it still is.
    fn refused(&mut self, who: usize, at: usize, how: String) {
        let access = self.session(who, at).access;
        if self.shared.revoked(&access).is_some() {
            return;
        }
        let held = self.person(who).open.swap_remove(at);
        self.let_go(held, how);
    }

    fn let_go(&mut self, held: Held, how: String) {
        if !held.may_be_over {
            self.page.refused.push(Refusal { opened: held.opened, how });
        }
    }

    async fn sign_up(&mut self) -> Result<(), Gone> {
        let email = format!("{}.{}@example.org", self.page.name, self.page.made);
        self.page.made += 1;
        let body = json!({"email": email, "password": PASSWORD});
        let answer = self.ask(Call::SignUp, self.client.post("/auth/login/signup").json(&body)).await?;
        if self.expect(Call::SignUp, &answer, 200) {
            self.page.people.push(Person::new(email, PASSWORD.to_owned()));
        }
        Ok(())
    }

    async fn sign_in(&mut self, who: usize) -> Result<(), Gone> {
        let person = self.person(who);
        if person.open.len() >= ENOUGH {
            return Ok(());
        }
        let (email, password, opened) = (person.email.clone(), person.passwords[0].clone(), Instant::now());
        let answer = self.ask(Call::SignIn, self.client.sign_in_request(&email, &password)).await?;
        let passwords = &mut self.person(who).passwords;
        if answer.status == 401 && passwords.len() > 1 {
            passwords.rotate_left(1);
            return Ok(());
        }
        if self.expect(Call::SignIn, &answer, 201) {
            self.person(who).open.push(Held::new(answer.is(201).tokens(), opened));
        }
        Ok(())
    }

    async fn verify(&mut self, who: usize, at: usize) -> Result<(), Gone> {
        let access = self.session(who, at).access;
        let answer = self.ask(Call::Verify, self.client.verify_request(&access)).await?;
        match answer.status {
            401 => self.refused(who, at, format!("{answer:?}")),
            _ => _ = self.expect(Call::Verify, &answer, 200),
        }
        Ok(())
    }

    /// On the very node that ended it, at once; on the others the audit asks.
    async fn verify_ended(&mut self, who: usize) -> Result<(), Gone> {
        let Some(access) = self.person(who).ended.last().map(|pair| pair.access.clone()) else { return Ok(()) };
        let answer = self.ask(Call::VerifyEnded, self.client.verify_request(&access)).await?;
        let by_key = self.shared.revoked(&access).is_some() && answer.rejection_reason() == Some("revoked_key");
        if answer.rejection_reason() != Some("revoked") && !by_key {
            self.surprise(Call::VerifyEnded, &answer);
        }
        Ok(())
    }

    /// The key of its token is being revoked: that is refused once all know it, and the session goes on with another.
    async fn leave_behind(&mut self, who: usize, at: usize) -> Result<(), Gone> {
        let (access, asked) = (self.session(who, at).access, Instant::now());
        let by_all = self.shared.revoked(&access).flatten();
        let answer = self.ask(Call::VerifyRevoked, self.client.verify_request(&access)).await?;
        if by_all.is_none_or(|since| asked < since) && answer.status == 200 {
            return Ok(());
        }
        if answer.rejection_reason() != Some("revoked_key") {
            self.surprise(Call::VerifyRevoked, &answer);
        }
        self.person(who).behind.push(access);
        self.refresh(who, at).await
    }

    async fn refresh(&mut self, who: usize, at: usize) -> Result<(), Gone> {
        let old = self.session(who, at).refresh;
        // Until there is an answer, nothing is known.
        self.person(who).open[at].doubtful = true;
        let answer = self.ask(Call::Refresh, self.client.refresh_request(&old)).await?;
        match answer.status {
            400 => self.refused(who, at, format!("{answer:?}")),
            _ => {
                if self.expect(Call::Refresh, &answer, 200) {
                    let held = &mut self.person(who).open[at];
                    (held.pair, held.before, held.doubtful) = (answer.is(200).tokens(), Some((old, Instant::now())), false);
                }
            }
        }
        Ok(())
    }

    async fn sign_out(&mut self, who: usize, at: usize) -> Result<(), Gone> {
        // Without an answer nothing is known of it.
        let held = self.person(who).open.swap_remove(at);
        let answer = self.ask(Call::SignOut, self.client.sign_out_request(&held.pair)).await?;
        match answer.status {
            401 if self.shared.revoked(&held.pair.access).is_some() => self.person(who).open.push(held),
            // Its token is known to be over, or its session is.
            401 | 404 => self.let_go(held, format!("{answer:?}")),
            _ => {
                if self.expect(Call::SignOut, &answer, 204) {
                    self.person(who).ended.push(held.pair);
                }
            }
        }
        Ok(())
    }

    async fn ask_code(&mut self, who: usize) -> Result<(), Gone> {
        if self.person(who).code.is_some() {
            return Ok(());
        }
        let (email, asked) = (self.person(who).email.clone(), Instant::now());
        // A code that was asked for before, and came after nobody waited for it any more.
        self.outbox.code(&email);
        let request = self.client.post("/auth/verification/send-code").json(&json!({"email": email}));
        let answer = self.ask(Call::AskCode, request).await?;
        if !self.expect(Call::AskCode, &answer, 202) {
            return Ok(());
        }
        while asked.elapsed() < Duration::from_secs(10) {
            if let Some(digits) = self.outbox.code(&email) {
                self.person(who).code = Some(Code { digits, asked, doubtful: false });
                return Ok(());
            }
            if self.shared.is_over() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.page.surprises.push(format!("no code came to {email}"));
        Ok(())
    }

    async fn use_code(&mut self, who: usize) -> Result<(), Gone> {
        let Some(Code { digits, asked, doubtful }) = self.person(who).code.take() else { return Ok(()) };
        let (email, opened) = (self.person(who).email.clone(), Instant::now());
        let request = self.client.post("/auth/verification/verify-code").json(&json!({"email": email, "code": digits}));
        let answer = self.ask(Call::UseCode, request).await?;
        match answer.status {
            401 if doubtful => self.person(who).used.push(digits),
            401 => self.page.refused.push(Refusal { opened: asked, how: format!("{answer:?}") }),
            503 => self.person(who).code = Some(Code { digits, asked, doubtful: true }),
            _ => {
                if self.expect(Call::UseCode, &answer, 200) {
                    let [access, refresh] =
                        ["access_token", "refresh_token"].map(|name| text(&answer.body["data"][name]));
                    let pair = TokenPair { session: sid(&access), access, refresh };
                    self.person(who).used.push(digits);
                    self.person(who).open.push(Held::new(pair, opened));
                }
            }
        }
        Ok(())
    }

    async fn change_password(&mut self, who: usize) -> Result<(), Gone> {
        let made = self.page.turn;
        let person = self.person(who);
        let [old] = person.passwords.as_slice() else { return Ok(()) };
        let (old, new) = (old.clone(), format!("{PASSWORD} {made}"));
        let Some(access) = person.open.first().map(|held| held.pair.access.clone()) else { return Ok(()) };
        // It ends all sessions. Until there is an answer, nothing is known of any of it.
        let sure: Vec<_> = person.open.iter().map(|held| !held.may_be_over).collect();
        person.open.iter_mut().for_each(|held| held.may_be_over = true);
        person.passwords = vec![old.clone(), new.clone()];
        let body = json!({"original": old, "password": new});
        let request = self.client.http.put(format!("{}/auth/users/me", self.client.base));
        let answer = self.ask(Call::NewPassword, request.bearer_auth(access).json(&body)).await?;
        let person = self.person(who);
        if answer.status == 401 {
            person.passwords = vec![old];
            person.open.iter_mut().zip(sure).for_each(|(held, sure)| held.may_be_over = !sure);
            self.refused(who, 0, format!("{answer:?}"));
        } else if answer.status == 200 {
            (person.passwords, person.former) = (vec![new], Some(old));
            let open = std::mem::take(&mut person.open);
            person.ended.extend(open.into_iter().map(|held| held.pair));
        } else {
            self.expect(Call::NewPassword, &answer, 200);
        }
        Ok(())
    }

    async fn administer(&mut self) -> Result<(), Gone> {
        let Some(access) = self.root.clone() else {
            let answer = self.ask(Call::SignIn, self.client.sign_in_request(ROOT, PASSWORD)).await?;
            if self.expect(Call::SignIn, &answer, 201) {
                self.root = Some(answer.is(201).tokens().access);
            }
            return Ok(());
        };
        let answer = self.ask(Call::Admin, self.client.get("/auth/users/?page=0").bearer_auth(access)).await?;
        if answer.status == 401 {
            self.root = None;
        } else {
            self.expect(Call::Admin, &answer, 200);
        }
        Ok(())
    }
}
