//! The published revocation feed (`docs/revocation-feed.md`), read as a follower reads it.

mod clock_ahead;
mod documents;
mod entries;
mod fleet;
mod in_process;
mod on_demand;
mod reports;

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use signet::encoding::{sha256, short_sha256};

use crate::support::client::Client;
use crate::support::response::HttpResponse;

/// The path of the head.
const FEED: &str = "/.well-known/signet-revocations";

/// The payloads of the frames in a response.
fn frames(response: &HttpResponse) -> Vec<Value> {
    assert_eq!(response.is(200).header("content-type"), "application/jose");
    payloads(&response.text)
}

fn payloads(text: &str) -> Vec<Value> {
    assert!(text.ends_with('\n'), "each frame is followed by a line feed: {text:?}");
    let payload = |frame: &str| {
        let part = frame.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    text.lines().map(payload).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}

/// The first twelve bytes of the records in a member of a frame.
fn hashes(frame: &Value, member: &str, record: usize) -> HashSet<[u8; 12]> {
    let records = URL_SAFE_NO_PAD.decode(frame[member].as_str().unwrap_or_default()).unwrap();
    assert_eq!(records.len() % record, 0, "{member} consists of whole records");
    records.chunks(record).map(|record| record[..12].try_into().unwrap()).collect()
}

/// The revoked ids of a frame.
fn revoked(frame: &Value) -> HashSet<[u8; 12]> {
    hashes(frame, "revoked", 16)
}

/// The users of a frame whose older tokens are revoked.
fn revoked_users(frame: &Value) -> HashSet<[u8; 12]> {
    hashes(frame, "revoked_before", 22)
}

fn hash(id: &str) -> [u8; 12] {
    sha256(id.as_bytes())[..12].try_into().unwrap()
}

/// A follower that knows one node.
struct Follower {
    client: Client,
    epoch: String,
    position: String,
    revoked: HashSet<[u8; 12]>,
    users: HashSet<[u8; 12]>,
}

impl Follower {
    /// Starts with the snapshot.
    async fn start(client: &Client) -> Self {
        let frames = frames(&get(client, &format!("{FEED}/snapshot")).await);
        let (epoch, position) = (text(&frames[0]["epoch"]), text(&frames[0]["to"]));
        let mut follower =
            Self { client: client.clone(), epoch, position, revoked: HashSet::new(), users: HashSet::new() };
        frames.iter().for_each(|frame| follower.add(frame));
        follower
    }

    fn add(&mut self, frame: &Value) {
        self.revoked.extend(revoked(frame));
        self.users.extend(revoked_users(frame));
    }

    /// One request to the live feed. A node that had not read as far as the follower's position when it was asked responds
    /// with a frame from before that position: it is applied and does not move the position.
    async fn poll(&mut self) -> Vec<Value> {
        let path = format!("{FEED}/{}/after/{}", self.epoch, self.position);
        let frames = frames(&get(&self.client, &path).await);
        for frame in &frames {
            assert_eq!(text(&frame["epoch"]), self.epoch);
            if frame["from"] == *self.position {
                self.position = text(&frame["to"]);
            }
            self.add(frame);
        }
        frames
    }

    async fn poll_until_revoked(&mut self, id: &str) {
        while !self.revoked.contains(&hash(id)) {
            self.poll().await;
        }
    }
}

async fn get(client: &Client, path: &str) -> HttpResponse {
    client.send(client.get(path)).await.expect("the node is up")
}

/// The head, once it has this property.
async fn head_when(client: &Client, condition: impl Fn(&Value) -> bool) -> Value {
    loop {
        let head = frames(&get(client, FEED).await).remove(0);
        if condition(&head) {
            return head;
        }
        // The next frame is signed within a second.
        let path = format!("{FEED}/{}/after/{}", text(&head["epoch"]), text(&head["to"]));
        get(client, &path).await;
    }
}

/// The identifier of a node's JWKS.
async fn jwks_hash(client: &Client) -> String {
    short_sha256(get(client, "/.well-known/jwks.json").await.is(200).text.as_bytes(), 12)
}
