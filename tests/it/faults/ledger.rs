//! What clients were told, and whether it still holds.
//!
//! An effect is written down only after its 2xx was read to the end. One whose answer was lost, or was 503, may have come about or
//! not: it is in doubt, and either will do, but not both and not a third. Each client writes a page of its own about people whom
//! nobody else touches, so that nothing here depends on who was first. Knows nothing of faults.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::support::client::{Client, TokenPair, kid, until_within};

/// In what time what one node was told must be felt by all; four times over, since the machine may be busy with other tests.
pub(super) const FELT: Duration = Duration::from_secs(4);

/// For how long the audit holds a token's successor to be the only one. The servers under load have as long a grace.
pub(super) const GRACE: Duration = Duration::from_secs(300);

/// An open session.
pub(super) struct Held {
    pub(super) pair: TokenPair,
    /// What `pair` was handed out for, and when.
    pub(super) before: Option<(String, Instant)>,
    /// `pair` was presented, and what came of it was not told.
    pub(super) doubtful: bool,
    /// It was to be ended, and what came of that was not told.
    pub(super) may_be_over: bool,
    /// When it was asked for.
    pub(super) opened: Instant,
}

/// A code that was mailed.
pub(super) struct Code {
    pub(super) digits: String,
    pub(super) asked: Instant,
    /// It was handed in, and what came of it was not told.
    pub(super) doubtful: bool,
}

/// An API key: its name and all of it.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) whole: String,
}

/// Somebody, as one client knows them.
pub(super) struct Person {
    pub(super) email: String,
    /// The password, or where a change of it is in doubt, the one before and the one after.
    pub(super) passwords: Vec<String>,
    /// The one that was acknowledged to be no longer it.
    pub(super) former: Option<String>,
    pub(super) project: Option<String>,
    pub(super) open: Vec<Held>,
    pub(super) ended: Vec<TokenPair>,
    /// Tokens of keys that were revoked.
    pub(super) behind: Vec<String>,
    pub(super) code: Option<Code>,
    pub(super) used: Vec<String>,
    pub(super) keys: Vec<Key>,
    pub(super) ended_keys: Vec<Key>,
    /// Whether anything was asked about them since the last audit, and how much of what is over it has seen.
    pub(super) touched: bool,
    seen: [usize; 3],
}

/// A session or a code that was in force as far as its client knew, and was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) opened: Instant,
    pub(super) how: String,
}

/// What one client was told.
#[derive(Default)]
pub(super) struct Page {
    pub(super) name: String,
    pub(super) people: Vec<Person>,
    pub(super) made: usize,
    /// How far the client has come in its day.
    pub(super) turn: usize,
    pub(super) refused: Vec<Refusal>,
    /// What must never be told, whatever has failed.
    pub(super) surprises: Vec<String>,
    /// Why the client went home before it was told to.
    pub(super) gone: Option<String>,
}

/// What all clients were told.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) pages: Vec<Page>,
    /// The keys that were revoked.
    pub(super) revoked: Vec<String>,
}

/// How much of the ledger is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// What was touched since the last time.
    Lately,
    All,
}

impl Person {
    pub(super) fn new(email: String, password: String) -> Self {
        Self {
            email,
            passwords: vec![password],
            former: None,
            project: None,
            open: Vec::new(),
            ended: Vec::new(),
            behind: Vec::new(),
            code: None,
            used: Vec::new(),
            keys: Vec::new(),
            ended_keys: Vec::new(),
            touched: true,
            seen: [0; 3],
        }
    }
}

impl Ledger {
    pub(super) fn new(clients: usize) -> Self {
        let page = |number| Page { name: format!("client{number}"), turn: number * 3, ..Page::default() };
        Self { pages: (0..clients).map(page).collect(), revoked: Vec::new() }
    }

    /// How many people, open sessions, ended sessions, used codes and ended keys it knows.
    pub(super) fn extent(&self) -> [usize; 5] {
        let mut sum = [0; 5];
        for person in self.pages.iter().flat_map(|page| &page.people) {
            let each = [1, person.open.len(), person.ended.len(), person.used.len(), person.ended_keys.len()];
            sum.iter_mut().zip(each).for_each(|(sum, each)| *sum += each);
        }
        sum
    }

    /// Nobody was told what must never be told; nobody was refused what was in order, and nobody went home early.
    #[track_caller]
    pub(super) fn is_undisturbed(&self) {
        self.holds_no_surprise();
        for page in &self.pages {
            assert!(page.gone.is_none(), "{}: {:?}", page.name, page.gone);
        }
        self.holds_no_refusal();
    }

    #[track_caller]
    pub(super) fn holds_no_refusal(&self) {
        for page in &self.pages {
            let first = page.refused.first().map(|refusal| &refusal.how);
            assert!(first.is_none(), "{}: {} refused, first {first:?}", page.name, page.refused.len());
        }
    }

    #[track_caller]
    pub(super) fn holds_no_surprise(&self) {
        for page in &self.pages {
            let surprises = &page.surprises;
            assert!(surprises.is_empty(), "{}: {}, first {:?}", page.name, surprises.len(), &surprises[..1]);
        }
    }

    /// What expires was lost at some time between these two moments: what was opened before is over, what was opened between may
    /// be over.
    pub(super) fn forget_what_expires(&mut self, lost: Instant, settled: Instant) {
        for person in self.pages.iter_mut().flat_map(|page| &mut page.people) {
            person.touched = true;
            for held in std::mem::take(&mut person.open) {
                if held.opened < lost {
                    person.ended.push(held.pair);
                } else if held.opened > settled {
                    person.open.push(held);
                }
            }
            if let Some(code) = person.code.take() {
                if code.asked < lost {
                    person.used.push(code.digits);
                } else if code.asked > settled {
                    person.code = Some(code);
                }
            }
        }
    }

    /// Asks the servers for all that was acknowledged, each page of another one than its client did.
    pub(super) async fn audit(&mut self, nodes: &[Client], look: Look) {
        let revoked = &self.revoked;
        let audit = async |(number, page): (usize, &mut Page)| {
            let node = &nodes[(number + 1) % nodes.len()];
            for person in page.people.iter_mut().filter(|person| look == Look::All || person.touched) {
                person.leave_behind(revoked);
                person.audit(node, look).await;
            }
        };
        join_all(self.pages.iter_mut().enumerate().map(audit)).await;
    }
}

impl Person {
    /// Of sessions that were not asked for since: their tokens are over, and they are not.
    fn leave_behind(&mut self, revoked: &[String]) {
        let tokens = self.open.iter().map(|held| &held.pair.access).filter(|token| revoked.contains(&kid(token)));
        self.behind.extend(tokens.cloned());
    }

    async fn audit(&mut self, node: &Client, look: Look) {
        let [ended, used, keys] = if look == Look::All { [0; 3] } else { self.seen };
        let email = self.email.as_str();

        let sure = self.open.iter().filter(|held| !held.may_be_over && !self.behind.contains(&held.pair.access));
        let mut good: Vec<_> = sure.map(|held| held.pair.access.clone()).collect();
        good.extend(self.keys.iter().map(|key| key.whole.clone()));
        let verdicts = node.rejection_reasons(&good).await;
        assert!(verdicts.iter().all(Option::is_none), "{email}: what is in force is refused: {verdicts:?}");
        let mut bad: Vec<_> = self.ended[ended..].iter().map(|pair| pair.access.clone()).collect();
        bad.extend(self.ended_keys[keys..].iter().map(|key| key.whole.clone()));
        let over = async || node.rejection_reasons(&bad).await.iter().all(Option::is_some);
        until_within(&format!("{email}: what is over is refused"), FELT, over).await;

        let by_key = |verdict: &Option<String>| verdict.as_deref() == Some("revoked_key");
        let verdicts = node.rejection_reasons(&self.behind).await;
        assert!(verdicts.iter().all(by_key), "{email}: of keys that were revoked: {verdicts:?}");

        for held in self.open.iter_mut().filter(|held| !held.may_be_over) {
            held.audit(node, email).await;
        }
        for pair in &self.ended[ended..] {
            assert_eq!(node.refresh_response(&pair.refresh).await.status, 400, "{email}: a session that was ended is back");
        }
        self.audit_passwords(node).await;
        for digits in &self.used[used..] {
            let code = json!({"email": email, "code": digits});
            let request = node.post("/auth/verification/verify-code").json(&code);
            let answer = node.execute(request).await.expect("the node lives");
            assert_eq!(answer.status, 401, "{email}: a used code is good again");
        }
        self.seen = [self.ended.len(), self.used.len(), self.ended_keys.len()];
        self.touched = false;
    }

    async fn audit_passwords(&self, node: &Client) {
        let mut good = 0;
        for password in &self.passwords {
            let answer = node.execute(node.sign_in_request(&self.email, password)).await.expect("the node lives");
            if answer.status == 201 {
                good += 1;
                node.sign_out(&answer.is(201).tokens()).await;
            } else {
                assert_eq!(answer.status, 401, "{}: {answer:?}", self.email);
            }
        }
        assert_eq!(good, 1, "{}: of the passwords that it may be, one is good", self.email);
        if let Some(former) = &self.former {
            let answer = node.execute(node.sign_in_request(&self.email, former)).await.expect("the node lives");
            assert_eq!(answer.status, 401, "{}: a former password is good", self.email);
        }
    }
}

impl Held {
    pub(super) fn new(pair: TokenPair, opened: Instant) -> Self {
        Self { pair, before: None, doubtful: false, may_be_over: false, opened }
    }

    /// Some clients go on with what they were given, others had not read it yet and try again: that gives the same.
    async fn audit(&mut self, node: &Client, email: &str) {
        let old = self.pair.refresh.clone();
        if let Some((before, told)) = self.before.as_ref().filter(|_| !self.doubtful)
            && told.elapsed() < GRACE / 2
        {
            let again = node.refresh_response(before).await.is(200).tokens();
            assert_eq!(again.refresh, old, "{email}: the retry got another successor");
        }
        let next = node.refresh_response(&old).await.is(200).tokens();
        if self.doubtful {
            let again = node.refresh_response(&old).await.is(200).tokens();
            assert_eq!(again.refresh, next.refresh, "{email}: there are two successors");
        }
        (self.pair, self.before, self.doubtful) = (next, Some((old, Instant::now())), false);
    }
}
