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

const DEADLINE: Duration = Duration::from_secs(2);

/// A result has the claims of a token, which has at most 8 KiB.
const MAX_RESPONSE: usize = MAX_TOKENS * 16 * 1024;

struct Question {
    token: Box<str>,
    answer: oneshot::Sender<Result<(), VerifyError>>,
}

/// Sends questions to the task that asks the server.
#[derive(Clone)]
pub(super) struct Asker(mpsc::Sender<Question>);

impl Asker {
    /// An asker, and the task behind it.
    pub(super) fn new(client: Client, state: Arc<State>) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        (Self(sender), run(client, state, receiver))
    }

    /// Asks whether the server accepts the token.
    pub(super) async fn ask(&self, token: &str) -> Result<(), VerifyError> {
        let (answer, result) = oneshot::channel();
        self.0.try_send(Question { token: token.into(), answer }).map_err(|_| VerifyError::Unavailable)?;
        result.await.unwrap_or(Err(VerifyError::Unavailable))
    }
}

async fn run(client: Client, state: Arc<State>, mut questions: mpsc::Receiver<Question>) {
    let mut batch = Vec::with_capacity(MAX_TOKENS);
    while questions.recv_many(&mut batch, MAX_TOKENS).await > 0 {
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
        let results = match call(&client, &state, &tokens).await {
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

async fn call(client: &Client, state: &State, tokens: &[&str]) -> Result<Vec<Result<(), VerifyError>>, FollowError> {
    let url = state.batch_url.load_full();
    let url = url.as_ref().as_ref().ok_or(FollowError::Metadata("they have no verification_endpoint"))?;
    let body = serde_json::to_vec(&Batch { tokens }).map(Bytes::from).unwrap_or_default();
    let response = client.post_json(url, body, DEADLINE).await?;
    let invalid = response.error("not the results of a batch");
    let body = response.read(MAX_RESPONSE, DEADLINE).await?;
    match serde_json::from_slice::<Results>(&body) {
        Ok(Results { results }) if results.len() == tokens.len() => {
            // The token itself has been verified here already. So the server refuses it because it was revoked.
            Ok(results.iter().map(|result| if result.active { Ok(()) } else { Err(VerifyError::Revoked) }).collect())
        }
        _ => Err(invalid),
    }
}
