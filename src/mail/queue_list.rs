//! The mails in the queue: what they are, since when they wait, and why. For the metrics and for administrators. Holds no
//! code and no link.
//!
//! A mail that the mail server deferred can be displaced by a new one. Otherwise anyone could fill the queue for a day,
//! with sign-ups whose addresses the server defers again and again, such as those of domains that do not exist.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Mail;
use crate::clock::Timestamp;

/// A mail in the queue.
#[derive(Clone, Debug)]
pub struct ListedMail {
    /// The kind of letter, as its templates are named.
    pub letter: &'static str,
    /// The recipient.
    pub to: String,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// It is given up after this moment.
    pub expires_at: Timestamp,
    /// The number of tries that failed.
    pub failed_tries: u32,
    /// Why the last of them failed: a reply code of the mail server or an error of the connection, never a text that
    /// quotes the mail.
    pub last_failure: Option<String>,
}

/// The mails in the queue, by a number that increases.
#[derive(Default)]
pub(super) struct QueueList(Mutex<Queued>);

#[derive(Default)]
struct Queued {
    next: u64,
    mails: BTreeMap<u64, (Instant, ListedMail)>,
    /// The mails that wait because the mail server deferred them, each with what ends its wait. Apart, because a full
    /// queue can have a million mails, and a worker looks for one of these.
    deferred: BTreeMap<u64, oneshot::Sender<()>>,
}

impl QueueList {
    /// Adds a mail. Returns its number.
    pub(super) fn add(&self, mail: &Mail) -> u64 {
        let listed = ListedMail {
            letter: mail.letter.kind().name,
            to: mail.to.clone(),
            queued_at: mail.origin.at,
            expires_at: mail.expires_at,
            failed_tries: 0,
            last_failure: None,
        };
        let mut queued = self.lock();
        let number = queued.next;
        queued.next += 1;
        queued.mails.insert(number, (Instant::now(), listed));
        number
    }

    /// Records that a try to send a mail failed.
    pub(super) fn record_failure(&self, number: u64, reason: &str) {
        if let Some((_, mail)) = self.lock().mails.get_mut(&number) {
            mail.failed_tries = mail.failed_tries.saturating_add(1);
            mail.last_failure = Some(reason.to_owned());
        }
    }

    /// Removes a mail, which was sent or given up. Returns false if it was displaced.
    pub(super) fn remove(&self, number: u64) -> bool {
        let mut queued = self.lock();
        queued.deferred.remove(&number);
        queued.mails.remove(&number).is_some()
    }

    /// From now on, a mail that the mail server deferred can be displaced. The result completes when it is.
    pub(super) fn begin_wait(&self, number: u64) -> oneshot::Receiver<()> {
        let (displace, displaced) = oneshot::channel();
        self.lock().deferred.insert(number, displace);
        displaced
    }

    /// The mail is tried again, so it cannot be displaced. Returns false if it was displaced before.
    pub(super) fn end_wait(&self, number: u64) -> bool {
        self.lock().deferred.remove(&number).is_some()
    }

    /// Removes the oldest of the mails that can be displaced, which gives its place to another. Returns false if there
    /// is none.
    pub(super) fn displace(&self) -> bool {
        let mut queued = self.lock();
        let Some((number, displace)) = queued.deferred.pop_first() else { return false };
        queued.mails.remove(&number);
        // Fails if its wait ends at this moment; then it finds that it was displaced.
        let _ = displace.send(());
        true
    }

    /// How long the oldest mail has waited; zero if there is none.
    pub(super) fn oldest(&self) -> Duration {
        self.lock().mails.first_key_value().map_or(Duration::ZERO, |(_, (since, _))| since.elapsed())
    }

    /// The oldest mails.
    pub(super) fn list(&self, limit: usize) -> Vec<ListedMail> {
        self.lock().mails.values().take(limit).map(|(_, mail)| mail.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Language, Letter, Origin, OriginBy};
    use super::*;

    fn mail(to: &str) -> Mail {
        let now = Timestamp::from_secs(1_795_233_600);
        Mail {
            to: to.to_owned(),
            language: Language::default(),
            letter: Letter::SignInCode { code: "031415".to_owned() },
            origin: Origin { at: now, by: OriginBy::Operator },
            expires_at: now,
        }
    }

    #[test]
    fn only_a_waiting_mail_is_displaced_the_oldest_first() {
        let list = QueueList::default();
        let [new, first, second] = [0; 3].map(|_| list.add(&mail("a@example.org")));
        assert!(!list.displace(), "none waits");
        let (mut of_second, mut of_first) = (list.begin_wait(second), list.begin_wait(first));
        assert!(list.displace());
        assert_eq!((of_first.try_recv().is_ok(), of_second.try_recv().is_ok()), (true, false));
        assert_eq!((list.end_wait(first), list.end_wait(second)), (false, true));
        assert!(!list.displace(), "the second is being tried");
        assert_eq!([new, first, second].map(|number| list.remove(number)), [true, false, true]);
    }

    #[test]
    fn mail_that_is_given_up_while_it_waits_is_not_displaced() {
        let list = QueueList::default();
        let number = list.add(&mail("a@example.org"));
        let _displaced = list.begin_wait(number);
        assert!(list.remove(number));
        assert!(!list.displace());
    }

    #[test]
    fn oldest_mail_counts_whichever_goes_first() {
        let list = QueueList::default();
        assert_eq!(list.oldest(), Duration::ZERO);
        let (first, second) = (list.add(&mail("a@example.org")), list.add(&mail("b@example.org")));
        list.record_failure(first, "answered 451");
        assert_eq!(list.list(1).len(), 1);
        let text = format!("{:?}", list.list(10));
        assert!(text.contains("sign-in-code") && text.contains("451") && !text.contains("031415"), "{text}");
        list.remove(second);
        assert_eq!(list.list(10).into_iter().map(|mail| mail.to).collect::<Vec<_>>(), ["a@example.org"]);
        list.remove(first);
        assert_eq!(list.oldest(), Duration::ZERO);
    }
}
