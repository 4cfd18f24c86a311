//! The cases of `clients/vectors`, which every verifier of Signet's tokens passes, and that they are up to date.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this crate contains tests only")]

#[path = "../examples/vectors/frames/mod.rs"]
mod frames;
#[path = "../examples/vectors/key_sets.rs"]
mod key_sets;
#[path = "../examples/vectors/signer.rs"]
mod signer;
#[path = "../examples/vectors/tokens/mod.rs"]
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use signet_verify::feed::{Frame, UnverifiedFrame};
use signet_verify::freshness::Freshness;
use signet_verify::position::{Position, Progress, Snapshot};
use signet_verify::revocations::RevocationSet;
use signet_verify::scopes::RequiredScopes;
use signet_verify::{Expectations, KeySet, PublicKey, TokenError, UnixTime, VerifiedToken};

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../clients/vectors").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn parse(name: &str) -> Value {
    serde_json::from_str(&read(name)).unwrap()
}

fn keys() -> KeySet {
    KeySet::parse(read("keys.json").as_bytes()).unwrap()
}

fn verify(token: &str, options: &Value, keys: &KeySet) -> Result<VerifiedToken, &'static str> {
    let text = |name: &str| options[name].as_str().unwrap();
    let mut expected = Expectations::new(text("issuer"), text("audience"));
    expected.leeway = Duration::from_secs(options["leeway"].as_u64().unwrap());
    let now = UnixTime::from_secs(options["now"].as_i64().unwrap());
    let token = expected.verify(token, keys.keys(), now).map_err(TokenError::code)?;
    if options["subject"].as_str().is_some_and(|subject| (subject == "user") != token.session_id().is_some()) {
        return Err("wrong_subject");
    }
    let scopes: Vec<&str> = options["scopes"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    if !token.scopes().contains_all(&RequiredScopes::parse(&scopes.join(" ")).unwrap()) {
        return Err("insufficient_scope");
    }
    Ok(token)
}

#[test]
fn files_are_those_that_the_generator_writes() {
    for (name, text) in signer::files(&read("tokens.json")) {
        assert!(text == read(name), "{name} is out of date: see clients/vectors/README.md");
    }
}

#[test]
fn key_sets_have_the_expected_keys() {
    let mut failed = Vec::new();
    for case in parse("key_sets.json")["key_sets"].as_array().unwrap() {
        let result = KeySet::parse(case["document"].as_str().unwrap().as_bytes());
        let keys = result.ok().map(|set| {
            let named = |key: &Arc<PublicKey>| (key.kid().to_owned(), json!(key.algorithm().names()[0]));
            set.keys().iter().map(named).collect::<serde_json::Map<_, _>>()
        });
        if json!(keys) != case["keys"] {
            failed.push(format!("{}: {keys:?}", case["name"]));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn tokens_have_the_expected_results() {
    let (file, keys) = (parse("tokens.json"), keys());
    let mut failed = Vec::new();
    for case in file["tokens"].as_array().unwrap() {
        let mut options = file["defaults"].clone();
        for (name, value) in case["options"].as_object().into_iter().flatten() {
            options[name] = value.clone();
        }
        let result = match verify(case["token"].as_str().unwrap(), &options, &keys) {
            Err(code) => json!({"error": code}),
            Ok(token) => {
                let scopes: Vec<&str> = token.scopes().iter().collect();
                let claims = json!({
                    "sub": token.subject(),
                    "sid": token.session_id(),
                    "jti": token.token_id(),
                    "client_id": token.client_id(),
                    "scopes": scopes,
                    "audience": token.audience().collect::<Vec<_>>(),
                    "email": token.verified_email(),
                    "email_verified": token.verified_email().is_some(),
                    "issued_at": token.issued_at().map(UnixTime::secs),
                    "expires_at": token.expires_at().secs(),
                    "auth_time": token.auth_time().map(UnixTime::secs),
                    "is_user": token.session_id().is_some(),
                });
                let expected = case["expect"]["claims"].as_object().into_iter().flatten();
                let named: serde_json::Map<String, Value> =
                    expected.map(|(name, _)| (name.clone(), claims[name].clone())).collect();
                json!({"claims": named})
            }
        };
        if result != case["expect"] {
            failed.push(format!("{}: {result}", case["name"]));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn frames_have_the_expected_results() {
    let (file, keys) = (parse("frames.json"), keys());
    let decode = |text: &str| signet_verify::feed::decode(text, keys.keys(), file["issuer"].as_str().unwrap());
    let mut failed = Vec::new();
    for case in file["frames"].as_array().unwrap() {
        let result = decode(case["frame"].as_str().unwrap());
        if result.is_ok() != (case["accepted"] == true) {
            failed.push(format!("{}: {:?}", case["name"], result.err()));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The state of a `follow::Verifier`, without its requests.
struct Follower {
    issuer: String,
    keys: KeySet,
    position: Option<Position>,
    revocations: RevocationSet,
    freshness: Freshness,
}

impl Follower {
    fn apply(&self, text: &str) -> Option<Frame> {
        let frame = UnverifiedFrame::parse(text).ok()?;
        let key = frame.find_key(self.keys.keys()).ok().filter(|key| !self.revocations.is_key_revoked(key))?;
        let frame = frame.verify(key, &self.issuer).ok()?;
        self.revocations.apply(&frame);
        Some(frame)
    }

    /// One turn. `None` if something is wrong.
    fn step(&mut self, step: &Value) -> Option<()> {
        let documents = |name: &str| step["documents"][name].as_array().cloned();
        let texts = |frames: Vec<Value>| frames.into_iter().map(|one| one.as_str().unwrap().to_owned());
        let now = Duration::from_millis(step["monotonic"].as_u64().unwrap());
        let wall = UnixTime::from_millis(step["wall"].as_i64().unwrap());
        let mut position = match self.position.clone() {
            Some(position) => position,
            None => {
                let mut snapshot = Snapshot::default();
                for text in texts(documents("snapshot")?) {
                    snapshot.add(&self.apply(&text)?);
                }
                let (position, time) = snapshot.finish()?;
                self.position = Some(position);
                return self.freshness.record(time, now, wall).then_some(());
            }
        };
        let mut complete_at = None;
        for text in texts(documents(&format!("{}/after/{}", position.epoch, position.at))?) {
            let frame = self.apply(&text)?;
            complete_at = match position.advance(&frame) {
                Progress::Complete => Some(frame.time),
                Progress::Gap => None,
                Progress::OtherEpoch => {
                    self.position = None;
                    return None;
                }
            };
        }
        self.position = Some(position);
        self.freshness.record(complete_at?, now, wall).then_some(())
    }
}

#[test]
fn sequences_have_the_expected_results() {
    let file = parse("frames.json");
    let issuer = file["issuer"].as_str().unwrap();
    for sequence in file["sequences"].as_array().unwrap() {
        let (revocations, freshness) = (RevocationSet::default(), Freshness::default());
        let mut follower = Follower { issuer: issuer.to_owned(), keys: keys(), position: None, revocations, freshness };
        for step in sequence["steps"].as_array().unwrap() {
            let (expected, place) = (&step["expect"], format!("{} at {}", sequence["name"], step["monotonic"]));
            let failed = follower.step(step).is_none();
            assert!(expected["error"].as_bool().is_none_or(|error| error == failed), "{place}: error is {failed}");
            if let Some(epoch) = expected["epoch"].as_str() {
                let at = expected["position"].as_str().unwrap().to_owned();
                assert_eq!(follower.position, Some(Position { epoch: epoch.to_owned(), at }), "{place}");
            }
            let now = Duration::from_millis(step["monotonic"].as_u64().unwrap());
            let wall = UnixTime::from_millis(step["wall"].as_i64().unwrap());
            let staleness = follower.freshness.staleness(now, wall).map(|span| span.as_millis() as u64);
            if let Some(expected) = expected["staleness"].as_u64() {
                assert_eq!(staleness, Some(expected), "{place}");
            }
            let expectations = Expectations::new(issuer, file["audience"].as_str().unwrap());
            let at = UnixTime::from_secs(signer::NOW);
            let is_revoked = |token: &Value| {
                let token = expectations.verify(token.as_str().unwrap(), follower.keys.keys(), at).unwrap();
                follower.revocations.is_revoked(token.ids())
            };
            let tokens = file["tokens"].as_object().unwrap();
            let mut revoked: Vec<&str> =
                tokens.iter().filter(|(_, token)| is_revoked(token)).map(|(name, _)| name.as_str()).collect();
            let mut names: Vec<&str> =
                expected["revoked"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            revoked.sort_unstable();
            names.sort_unstable();
            assert_eq!(revoked, names, "{place}");
        }
    }
}
