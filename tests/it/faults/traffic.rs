//! Many visitors at work, and how fast they are answered.
//!
//! Each waits for its answer and then a little longer. The pace is fixed, so that two runs can be compared: six clients with 10 ms
//! between an answer and the next question, unless a row has other [`Habits`]. What they were told goes into the ledger, and how fast
//! into a list. Knows nothing of what fails.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::ledger::{Ledger, Page};
use super::visitor::Visitor;
use crate::support::client::{Client, kid, until_within};
use crate::support::outbox::Mail;

pub(super) const CLIENTS: usize = 6;

/// How long they wait between an answer and the next question.
pub(super) const PACE: Duration = Duration::from_millis(10);

/// How clients go about it.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    /// How long a client waits between an answer and its next question.
    pub(super) pace: Duration,
    /// How many people a client knows before, for each who comes, the one known longest leaves; without it nobody ever does.
    pub(super) company: Option<usize>,
}

impl Default for Habits {
    fn default() -> Self {
        Self { pace: PACE, company: None }
    }
}

/// Her who may see everybody.
pub(super) const ROOT: &str = "root@example.org";

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Jwks,
    Verify,
    /// A token of a session that was ended: good if it is refused.
    VerifyEnded,
    /// A token of a key that was revoked: the same.
    VerifyRevoked,
    Refresh,
    SignIn,
    SignOut,
    AskCode,
    UseCode,
    SignUp,
    Leave,
    /// Of somebody who has left: good if it is refused.
    AfterLeaving,
    NewPassword,
    MakeKey,
    UseKey,
    EndKey,
    Admin,
}

/// An answer, or that there was none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) call: Call,
    pub(super) asked: Instant,
    pub(super) took: Duration,
    /// 0: it was asked, and nothing came back.
    pub(super) status: u16,
}

impl Heard {
    pub(super) fn is_good(&self) -> bool {
        match self.call {
            Call::VerifyEnded | Call::VerifyRevoked => self.status == 401,
            Call::AfterLeaving => matches!(self.status, 400 | 401),
            _ => (200..300).contains(&self.status),
        }
    }
}

/// The codes in a node's outbox. Who reads a mail takes it out.
pub(super) struct Outbox {
    folder: PathBuf,
    codes: Mutex<HashMap<String, String>>,
}

impl Outbox {
    pub(super) fn of(data: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder: data.join("outbox"), codes: Mutex::default() })
    }

    /// The newest code that was mailed there.
    pub(super) fn code(&self, to: &str) -> Option<String> {
        let mut codes = self.codes.lock().expect("nobody panics with it");
        let mut files: Vec<_> = std::fs::read_dir(&self.folder).into_iter().flatten().flatten().collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        for file in
            files.iter().map(std::fs::DirEntry::path).filter(|file| file.extension().is_some_and(|it| it == "eml"))
        {
            let mail = Mail { source: std::fs::read_to_string(&file).expect("it is whole") };
            std::fs::remove_file(file).expect("it is there");
            if mail.header("subject").contains("code") {
                codes.insert(mail.header("to").trim_matches(['<', '>']).to_owned(), mail.code());
            }
        }
        codes.remove(to)
    }
}

/// Where clients go: a node, and where its mails are.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) outbox: Arc<Outbox>,
}

/// What visitors and those who sent them tell each other.
#[derive(Default)]
pub(super) struct Shared {
    over: AtomicBool,
    heard: Mutex<Vec<Heard>>,
    /// Keys that are being revoked, and since when all nodes know it.
    revoked: Mutex<HashMap<String, Option<Instant>>>,
}

impl Shared {
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether the key that signed a token is being revoked: nothing, or since when all nodes know it, if they do.
    pub(super) fn revoked(&self, token: &str) -> Option<Option<Instant>> {
        self.revoked.lock().expect("nobody panics with it").get(&kid(token)).copied()
    }

    pub(super) fn hear(&self, call: Call, asked: Instant, status: u16) {
        let heard = Heard { call, asked, took: asked.elapsed(), status };
        self.heard.lock().expect("nobody panics with it").push(heard);
    }
}

/// Clients at work.
pub(super) struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Page>>,
}

impl Traffic {
    /// One client a page.
    pub(super) fn start(places: &[Place], ledger: Ledger) -> Self {
        Self::with(Habits::default(), places, ledger)
    }

    /// One client a page, with these habits.
    pub(super) fn with(habits: Habits, places: &[Place], ledger: Ledger) -> Self {
        let shared = Arc::new(Shared::default());
        let client = |(number, page): (usize, Page)| {
            let place = |number: usize| places[number % places.len()].clone();
            let (place, other) = (place(number), place(number + 1).client);
            // Connections of its own.
            let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
            let place = Place { client: Client { http, ..place.client }, ..place };
            let page = Page { gone: None, ..page };
            tokio::spawn(Visitor::new(place, other, habits, page, shared.clone()).live())
        };
        let clients = ledger.pages.into_iter().enumerate().map(client).collect();
        Self { shared, clients }
    }

    /// A key is being revoked, or all nodes know that it was.
    pub(super) fn tell_revoked(&self, kid: &str, by_all: Option<Instant>) {
        self.shared.revoked.lock().expect("nobody panics with it").insert(kid.to_owned(), by_all);
    }

    /// What was asked since.
    pub(super) fn since(&self, moment: Instant) -> Vec<Heard> {
        let heard = self.shared.heard.lock().expect("nobody panics with it");
        heard.iter().filter(|heard| heard.asked >= moment).copied().collect()
    }

    /// What was asked since it was taken last: for who keeps figures, and not each answer.
    pub(super) fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.shared.heard.lock().expect("nobody panics with it"))
    }

    /// Whether everybody is still at it.
    pub(super) fn is_whole(&self) -> bool {
        !self.clients.iter().any(JoinHandle::is_finished)
    }

    /// Waits until what was asked from now on will do.
    pub(super) async fn until(&self, what: &str, patience: Duration, will_do: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let began = Instant::now();
        loop {
            let heard = self.since(began);
            if will_do(&heard) {
                return heard;
            }
            let gone = self.clients.iter().all(JoinHandle::is_finished);
            assert!(began.elapsed() < patience && !gone, "{what}: not within {patience:?}; {}", summary(&heard));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until each of these was answered with success so many times from now on.
    pub(super) async fn until_good(&self, calls: &[Call], times: usize, patience: Duration) -> Vec<Heard> {
        let good = |heard: &[Heard], call| heard.iter().filter(|heard| heard.call == call && heard.is_good()).count();
        self.until("all is answered", patience, |heard| calls.iter().all(|call| good(heard, *call) >= times)).await
    }

    /// Waits until each of these was answered 503 so many times since then.
    pub(super) async fn until_told(&self, since: Instant, calls: &[Call], times: usize) {
        let told = |heard: &[Heard], call| heard.iter().filter(|it| it.call == call && it.status == 503).count();
        let began = Instant::now();
        loop {
            let heard = self.since(since);
            if calls.iter().all(|call| told(&heard, *call) >= times) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "not all were told 503: {}", summary(&heard));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until nobody finds anybody to ask. Longer than a client waits for an answer: who connects to a port that is free may be
    /// given that very port, and talk to itself.
    pub(super) async fn all_have_gone(&self) {
        let all = async || self.clients.iter().all(JoinHandle::is_finished);
        until_within("all have gone", Duration::from_secs(60), all).await;
    }

    /// Sends everybody home, and takes what they have written.
    pub(super) async fn stop(self) -> (Ledger, Vec<Heard>) {
        self.shared.over.store(true, Ordering::Relaxed);
        let revoked = self.shared.revoked.lock().expect("nobody panics with it").keys().cloned().collect();
        let mut ledger = Ledger { revoked, ..Ledger::default() };
        for client in self.clients {
            ledger.pages.push(client.await.unwrap());
        }
        let heard = std::mem::take(&mut *self.shared.heard.lock().expect("nobody panics with it"));
        (ledger, heard)
    }
}

/// How often each call had which answer.
pub(super) fn summary(heard: &[Heard]) -> String {
    let mut counts = std::collections::BTreeMap::<(Call, u16), usize>::new();
    heard.iter().for_each(|heard| *counts.entry((heard.call, heard.status)).or_default() += 1);
    counts.iter().map(|((call, status), count)| format!("{call:?} {status}: {count}")).collect::<Vec<_>>().join(", ")
}
