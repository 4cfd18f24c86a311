//! Asking the server about tokens while the feed is stale: the tokens of many requests in one call of `/verify/batch`.
//!
//! While a call is under way, the tokens that arrive are collected for the next one. So the server gets one call at a
//! time from each follower, however many requests there are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::error::{FollowError, VerifyError};
use super::http::Client;
use super::state::State;

/// The most tokens of one call. As each has up to 8 KiB, a call has at most one megabyte.
const MAX_TOKENS: usize = 128;

/// The most tokens that wait. More are refused at once.
const MAX_WAITING: usize = 4096;

/// The time for a response to a call, and for its body.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);

/// A result has the claims of a token, which has at most 8 KiB.
const MAX_RESPONSE: usize = MAX_TOKENS * 16 * 1024;

struct Question {
    token: Box<str>,
    answer: oneshot::Sender<Result<(), VerifyError>>,
}

/// Sends questions to the task that asks the server.
#[derive(Clone)]
pub(super) struct Asker {
    questions: mpsc::Sender<Question>,
    /// The longest wait for an answer: a call that is under way, and then the one with the token. If an issuer accepts
    /// connections and never responds, the calls for the tokens before it would take a deadline each.
    longest_wait: Duration,
}

impl Asker {
    /// An asker, and the task behind it.
    pub(super) fn new(client: Client, state: Arc<State>, deadline: Duration) -> (Self, impl Future<Output = ()>) {
        let (questions, receiver) = mpsc::channel(MAX_WAITING);
        (Self { questions, longest_wait: 2 * deadline }, run(client, state, receiver, deadline))
    }

    /// Asks whether the server accepts the token.
    pub(super) async fn ask(&self, token: &str) -> Result<(), VerifyError> {
        let (answer, result) = oneshot::channel();
        self.questions.try_send(Question { token: token.into(), answer }).map_err(|_| VerifyError::Unavailable)?;
        match tokio::time::timeout(self.longest_wait, result).await {
            Ok(Ok(answer)) => answer,
            _ => Err(VerifyError::Unavailable),
        }
    }
}

async fn run(client: Client, state: Arc<State>, mut questions: mpsc::Receiver<Question>, deadline: Duration) {
    let mut batch = Vec::with_capacity(MAX_TOKENS);
    while questions.recv_many(&mut batch, MAX_TOKENS).await > 0 {
        // Otherwise, after an outage, the server would first be asked about the tokens of requests that have ended.
        batch.retain(|question| !question.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        // Each different token is sent once.
        let mut tokens: Vec<&str> = Vec::with_capacity(batch.len());
        let mut positions = HashMap::with_capacity(batch.len());
        let order: Vec<usize> = batch
            .iter()
            .map(|question| {
                *positions.entry(&*question.token).or_insert_with(|| {
                    tokens.push(&question.token);
                    tokens.len() - 1
                })
            })
            .collect();
        let results = match call(&client, &state, &tokens, deadline).await {
            Ok(results) => results,
            Err(error) => {
                state.record_error(error);
                vec![Err(VerifyError::Unavailable); tokens.len()]
            }
        };
        drop(positions);
        for (question, at) in batch.drain(..).zip(order) {
            // The request may have been dropped meanwhile.
            let _ = question.answer.send(results[at]);
        }
    }
}

#[derive(Serialize)]
struct Batch<'a> {
    tokens: &'a [&'a str],
}

#[derive(Deserialize)]
struct Results {
    results: Vec<TokenResult>,
}

#[derive(Deserialize)]
struct TokenResult {
    active: bool,
}

async fn call(
    client: &Client,
    state: &State,
    tokens: &[&str],
    deadline: Duration,
) -> Result<Vec<Result<(), VerifyError>>, FollowError> {
    let url = state.batch_url.load_full();
    let url = url.as_ref().as_ref().ok_or(FollowError::Metadata("they have no verification_endpoint"))?;
    let body = serde_json::to_vec(&Batch { tokens }).map(Bytes::from).unwrap_or_default();
    let response = client.post_json(url, body, deadline).await?;
    let invalid = response.error("not the results of a batch");
    let body = response.read(MAX_RESPONSE, deadline).await?;
    match serde_json::from_slice::<Results>(&body) {
        Ok(Results { results }) if results.len() == tokens.len() => {
            // The token itself has been verified here already. So the server refuses it because it was revoked.
            Ok(results.iter().map(|result| if result.active { Ok(()) } else { Err(VerifyError::Revoked) }).collect())
        }
        _ => Err(invalid),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// An asker, the task behind it, their state, and the issuer: it accepts connections and never responds.
    async fn silent_issuer() -> (Asker, impl Future<Output = ()>, Arc<State>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/verify/batch", listener.local_addr().unwrap());
        let state = Arc::new(State::new("https://id.example.org"));
        state.batch_url.store(Arc::new(Some(url.parse().unwrap())));
        let (asker, task) = Asker::new(Client::new().unwrap(), state.clone(), Duration::from_millis(200));
        (asker, task, state, listener)
    }

    #[tokio::test]
    async fn no_token_waits_for_more_than_two_calls() {
        let (asker, task, _state, listener) = silent_issuer().await;
        tokio::spawn(task);
        let ask = |at: usize| {
            let asker = asker.clone();
            tokio::spawn(async move { asker.ask(&format!("token {at}")).await })
        };
        for task in (0..5 * MAX_TOKENS).map(ask).collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap(), Err(VerifyError::Unavailable));
        }
        // Each call has a connection of its own. The third begins as the last token ceases to wait.
        let mut calls = 0;
        while timeout(Duration::ZERO, listener.accept()).await.is_ok() {
            calls += 1;
        }
        assert!((1..=3).contains(&calls), "{calls} calls for five batches");
    }

    #[tokio::test]
    async fn token_of_a_request_that_ended_is_not_sent() {
        let (asker, task, state, _listener) = silent_issuer().await;
        assert!(timeout(Duration::ZERO, asker.ask("token")).await.is_err());
        drop(asker);
        task.await;
        assert_eq!(state.last_error(), None, "no call failed");
    }
}
