//! The mail room, as those who mail see it and as those see it who get the mails.

mod checking;
mod failing;
mod letters;
mod sending;
mod stopping;
mod templates;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use signet::clock::{Clock, Timestamp};
use signet::config::{self, Config, SecretUrl};
use signet::mail::{Language, Letter, Mail, Mailer, MailerError};
use signet::rng::Rng;
use signet::telemetry::metrics::Snapshot;
use signet::telemetry::{Metrics, Readiness};
use tempfile::TempDir;

use crate::support::{figure, smtp, until};

/// A Saturday: 2026-11-21 04:00 UTC.
const NOW: Timestamp = Timestamp::from_secs(1_795_233_600);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(10);

/// A mail room, at a clock that stands still.
struct Room {
    mailer: Mailer,
    clock: Clock,
    metrics: Arc<Metrics>,
    dir: TempDir,
}

fn settings() -> config::Mail {
    Config::default().mail
}

fn through(server: &smtp::Server) -> config::Mail {
    config::Mail { smtp_url: Some(SecretUrl(server.url())), ..settings() }
}

fn try_open(settings: &config::Mail, dir: &Path, clock: &Clock, metrics: &Arc<Metrics>) -> Result<Mailer, MailerError> {
    Mailer::start(settings, dir, clock.clone(), metrics.clone(), Rng::system())
}

impl Room {
    fn open(settings: &config::Mail) -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), Clock::manual(NOW));
        let metrics = Arc::new(Metrics::new::<&str>(&[], NOW));
        let mailer = try_open(settings, dir.path(), &clock, &metrics).unwrap();
        Self { mailer, clock, metrics, dir }
    }

    /// The value of a metric.
    fn count(&self, series: &str) -> u64 {
        let page = self.metrics.page(&Snapshot::default(), &Readiness::default(), NOW).body;
        figure(&page, series)
    }

    fn ended(&self, end: &str) -> u64 {
        self.count(&format!("signet_mails_total{{end=\"{end}\"}}"))
    }

    async fn until_ended(&self, end: &str, many: u64) {
        until(&format!("{many} {end}"), async || self.ended(end) == many).await;
    }

    /// The files of the outbox in the order of their names.
    fn outbox(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.dir.path().join("outbox")).unwrap();
        let mut files = folder.map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        files.sort();
        files
    }

    /// Puts a letter into the outbox and reads it there.
    async fn written(&self, letter: Letter, language: Language) -> smtp::Letter {
        let before = self.ended("sent");
        self.mailer.enqueue(Mail { language, ..mail("ada@example.org", letter) });
        self.until_ended("sent", before + 1).await;
        smtp::Letter::read(&std::fs::read(self.outbox().pop().unwrap()).unwrap())
    }
}

fn mail(to: &str, letter: Letter) -> Mail {
    Mail { to: to.to_owned(), language: Language::default(), letter, until: NOW + TEN_MINUTES }
}

fn code(to: &str) -> Mail {
    mail(to, Letter::SignInCode { code: "314159".to_owned() })
}
