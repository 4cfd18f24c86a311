//! The ledger: every effect that a server acknowledged to a client, and the audit that checks whether it still holds.
//!
//! An effect is recorded only after its 2xx response was read completely. If the response was lost, or was 503, the
//! effect is in doubt: both outcomes are accepted, but not both at once and no third one. Each client has its own part
//! of the ledger, about users that no other client touches, so nothing here depends on the order of requests. This
//! module does not know about faults.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::client::{Client, TokenPair, kid, until_within};

/// The time within which a change on one node must be effective on all: twenty times the promise, because the machine may
/// be busy with other tests.
pub(super) const MAX_PROPAGATION: Duration = Duration::from_secs(20);

/// The grace period of rotated refresh tokens, for servers under load and for the audit.
pub(super) const GRACE: Duration = Duration::from_secs(300);

pub(super) struct OpenSession {
    pub(super) tokens: TokenPair,
    /// The refresh token that was exchanged for `tokens`, and when.
    pub(super) previous: Option<(String, Instant)>,
    /// The refresh token was presented, and the outcome is unknown.
    pub(super) rotation_in_doubt: bool,
    /// The session was to be ended, and the outcome is unknown.
    pub(super) end_in_doubt: bool,
    /// Opened between these two: a sign-in can take longer than a fault.
    pub(super) requested_at: Instant,
    pub(super) received_at: Instant,
}

/// A code that was mailed.
pub(super) struct MailedCode {
    pub(super) digits: String,
    pub(super) requested_at: Instant,
    pub(super) received_at: Instant,
    /// It was redeemed, and the outcome is unknown.
    pub(super) in_doubt: bool,
}

#[derive(Clone)]
pub(super) struct ApiKey {
    pub(super) id: String,
    pub(super) secret: String,
}

/// A user, as one client knows it.
pub(super) struct LedgerUser {
    pub(super) email: String,
    pub(super) id: String,
    /// True if an administrator verified the address.
    pub(super) verified: bool,
    /// The password; while a change is in doubt, the one before and the one after.
    pub(super) passwords: Vec<String>,
    /// The password before an acknowledged change.
    pub(super) old_password: Option<String>,
    pub(super) project: Option<String>,
    pub(super) sessions: Vec<OpenSession>,
    pub(super) ended_sessions: Vec<TokenPair>,
    /// Access tokens signed by revoked keys.
    pub(super) tokens_of_revoked_keys: Vec<String>,
    pub(super) code: Option<MailedCode>,
    pub(super) used_codes: Vec<String>,
    pub(super) api_keys: Vec<ApiKey>,
    pub(super) deactivated_keys: Vec<ApiKey>,
    /// True if a request concerned the user since the last audit.
    pub(super) changed: bool,
    /// How many ended sessions, used codes and deactivated keys the last audit has checked.
    audited: [usize; 3],
}

/// A session or a code that was refused although it was valid as far as its client knew.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) requested_at: Instant,
    pub(super) received_at: Instant,
    pub(super) response: String,
}

/// The effects that the servers acknowledged to one client.
#[derive(Default)]
pub(super) struct ClientLedger {
    pub(super) name: String,
    pub(super) users: Vec<LedgerUser>,
    pub(super) users_created: usize,
    /// The number of steps that the client has taken.
    pub(super) step: usize,
    pub(super) refusals: Vec<Refusal>,
    /// Responses that are wrong, whatever has failed.
    pub(super) violations: Vec<String>,
    /// Why the client stopped before the end of the test.
    pub(super) stop_reason: Option<String>,
}

/// The effects that the servers acknowledged to all clients.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) clients: Vec<ClientLedger>,
    /// The ids of revoked signing keys.
    pub(super) revoked_keys: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AuditScope {
    /// The parts that have changed since the last audit.
    Changed,
    All,
}

impl LedgerUser {
    pub(super) fn new(email: String, id: String, password: String) -> Self {
        Self {
            email,
            id,
            verified: false,
            passwords: vec![password],
            old_password: None,
            project: None,
            sessions: Vec::new(),
            ended_sessions: Vec::new(),
            tokens_of_revoked_keys: Vec::new(),
            code: None,
            used_codes: Vec::new(),
            api_keys: Vec::new(),
            deactivated_keys: Vec::new(),
            changed: true,
            audited: [0; 3],
        }
    }
}

impl Ledger {
    pub(super) fn new(clients: usize) -> Self {
        let client =
            |number| ClientLedger { name: format!("client{number}"), step: number * 3, ..ClientLedger::default() };
        Self { clients: (0..clients).map(client).collect(), revoked_keys: Vec::new() }
    }

    /// The numbers of users, open sessions, ended sessions, used codes and deactivated API keys.
    pub(super) fn counts(&self) -> [usize; 5] {
        let mut sums = [0; 5];
        for user in self.clients.iter().flat_map(|client| &client.users) {
            let counts =
                [1, user.sessions.len(), user.ended_sessions.len(), user.used_codes.len(), user.deactivated_keys.len()];
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        sums
    }

    /// Asserts that no client got a wrong response, was refused a valid credential, or stopped early.
    #[track_caller]
    pub(super) fn assert_undisturbed(&self) {
        self.assert_no_violations();
        for client in &self.clients {
            assert!(client.stop_reason.is_none(), "{} stopped early: {:?}", client.name, client.stop_reason);
        }
        self.assert_no_refusals();
    }

    #[track_caller]
    pub(super) fn assert_no_refusals(&self) {
        for client in &self.clients {
            let first = client.refusals.first().map(|refusal| &refusal.response);
            assert!(first.is_none(), "{}: {} refused, the first: {first:?}", client.name, client.refusals.len());
        }
    }

    #[track_caller]
    pub(super) fn assert_no_violations(&self) {
        for ClientLedger { name, violations, .. } in &self.clients {
            assert!(
                violations.is_empty(),
                "{name}: {} violations, the first: {:?}",
                violations.len(),
                &violations[..1]
            );
        }
    }

    /// Accounts for the loss of the ephemeral store at some time between `lost` and `settled`: sessions and codes from
    /// before are void, those from in between may be.
    pub(super) fn expire_lost_records(&mut self, lost: Instant, settled: Instant) {
        for user in self.clients.iter_mut().flat_map(|client| &mut client.users) {
            user.changed = true;
            for session in std::mem::take(&mut user.sessions) {
                if session.received_at < lost {
                    user.ended_sessions.push(session.tokens);
                } else if session.requested_at > settled {
                    user.sessions.push(session);
                }
            }
            if let Some(code) = user.code.take() {
                if code.received_at < lost {
                    user.used_codes.push(code.digits);
                } else if code.requested_at > settled {
                    user.code = Some(code);
                }
            }
        }
    }

    /// Checks everything acknowledged against the servers, for each client on another node than it used.
    pub(super) async fn audit(&mut self, nodes: &[Client], scope: AuditScope) {
        let revoked_keys = &self.revoked_keys;
        let audit = async |(number, client): (usize, &mut ClientLedger)| {
            let node = &nodes[(number + 1) % nodes.len()];
            for user in client.users.iter_mut().filter(|user| scope == AuditScope::All || user.changed) {
                user.collect_tokens_of_revoked_keys(revoked_keys);
                user.audit(node, scope).await;
            }
        };
        join_all(self.clients.iter_mut().enumerate().map(audit)).await;
    }
}

impl LedgerUser {
    /// Records the access tokens of revoked keys: the tokens are void, their sessions are not.
    fn collect_tokens_of_revoked_keys(&mut self, revoked_keys: &[String]) {
        let tokens = self.sessions.iter().map(|session| &session.tokens.access);
        self.tokens_of_revoked_keys.extend(tokens.filter(|token| revoked_keys.contains(&kid(token))).cloned());
    }

    async fn audit(&mut self, node: &Client, scope: AuditScope) {
        let [ended, used, deactivated] = if scope == AuditScope::All { [0; 3] } else { self.audited };
        let email = self.email.as_str();

        let certain = self.sessions.iter().filter(|session| !session.end_in_doubt);
        let certain = certain.map(|session| &session.tokens.access);
        let mut valid: Vec<_> = certain.filter(|token| !self.tokens_of_revoked_keys.contains(token)).cloned().collect();
        valid.extend(self.api_keys.iter().map(|key| key.secret.clone()));
        let reasons = node.rejection_reasons(&valid).await;
        assert!(reasons.iter().all(Option::is_none), "{email}: a valid token is refused: {reasons:?}");
        let mut void: Vec<_> = self.ended_sessions[ended..].iter().map(|tokens| tokens.access.clone()).collect();
        void.extend(self.deactivated_keys[deactivated..].iter().map(|key| key.secret.clone()));
        let all_refused = async || node.rejection_reasons(&void).await.iter().all(Option::is_some);
        until_within(&format!("{email}: ended sessions and keys are refused"), MAX_PROPAGATION, all_refused).await;

        let by_key = |reason: &Option<String>| reason.as_deref() == Some("revoked_key");
        let reasons = node.rejection_reasons(&self.tokens_of_revoked_keys).await;
        assert!(reasons.iter().all(by_key), "{email}: tokens of revoked keys: {reasons:?}");

        for session in self.sessions.iter_mut().filter(|session| !session.end_in_doubt) {
            session.audit(node, email).await;
        }
        for tokens in &self.ended_sessions[ended..] {
            let response = node.refresh_response(&tokens.refresh).await;
            assert_eq!(response.status, 400, "{email}: an ended session can be refreshed");
        }
        self.audit_passwords(node).await;
        for digits in &self.used_codes[used..] {
            let code = json!({"email": email, "code": digits});
            let request = node.post("/auth/verification/verify-code").json(&code);
            let response = node.execute(request).await.expect("the node is up");
            assert_eq!(response.status, 401, "{email}: a used code is accepted again");
        }
        self.audited = [self.ended_sessions.len(), self.used_codes.len(), self.deactivated_keys.len()];
        self.changed = false;
    }

    async fn audit_passwords(&self, node: &Client) {
        let mut accepted = 0;
        for password in &self.passwords {
            let response = node.execute(node.sign_in_request(&self.email, password)).await.expect("the node is up");
            if response.status == 201 {
                accepted += 1;
                node.sign_out(&response.is(201).tokens()).await;
            } else {
                assert_eq!(response.status, 401, "{}: {response:?}", self.email);
            }
        }
        assert_eq!(accepted, 1, "{}: exactly one of the possible passwords is valid", self.email);
        if let Some(old_password) = &self.old_password {
            let request = node.sign_in_request(&self.email, old_password);
            let response = node.execute(request).await.expect("the node is up");
            assert_eq!(response.status, 401, "{}: an old password is accepted", self.email);
        }
    }
}

impl OpenSession {
    /// A session whose sign-in was sent at this time, and answered now.
    pub(super) fn new(tokens: TokenPair, requested_at: Instant) -> Self {
        let received_at = Instant::now();
        Self { tokens, previous: None, rotation_in_doubt: false, end_in_doubt: false, requested_at, received_at }
    }

    /// Refreshes, and retries the refresh before, as a client that lost the response: the retry gets the same
    /// successor.
    async fn audit(&mut self, node: &Client, email: &str) {
        let old = self.tokens.refresh.clone();
        if let Some((previous, exchanged_at)) = self.previous.as_ref().filter(|_| !self.rotation_in_doubt)
            && exchanged_at.elapsed() < GRACE / 2
        {
            let retry = node.refresh_response(previous).await.is(200).tokens();
            assert_eq!(retry.refresh, old, "{email}: the retry got another successor");
        }
        let next = node.refresh_response(&old).await.is(200).tokens();
        if self.rotation_in_doubt {
            let retry = node.refresh_response(&old).await.is(200).tokens();
            assert_eq!(retry.refresh, next.refresh, "{email}: there are two successors");
        }
        (self.tokens, self.previous, self.rotation_in_doubt) = (next, Some((old, Instant::now())), false);
    }
}
