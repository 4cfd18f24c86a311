//! The mails in the queue: what they are, since when they wait, and why. For the metrics and for administrators. Holds no
//! code and no link.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

    /// Removes a mail, which was sent or given up.
    pub(super) fn remove(&self, number: u64) {
        self.lock().mails.remove(&number);
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

    #[test]
    fn oldest_mail_counts_whichever_goes_first() {
        let now = Timestamp::from_secs(1_795_233_600);
        let mail = |to: &str| Mail {
            to: to.to_owned(),
            language: Language::default(),
            letter: Letter::SignInCode { code: "031415".to_owned() },
            origin: Origin { at: now, by: OriginBy::Operator },
            expires_at: now,
        };
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
