//! Mail: rendering, delivery to an SMTP server or the outbox, retries and shutdown.

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
use signet::mail::{Language, Letter, Mail, Mailer, MailerError, Origin, OriginBy};
use signet::rng::Rng;
use signet::telemetry::metrics::Snapshot;
use signet::telemetry::{Metrics, Readiness};
use tempfile::TempDir;

use crate::support::{metric, smtp, until};

/// 2026-11-21 04:00 UTC, a Saturday.
const NOW: Timestamp = Timestamp::from_secs(1_795_233_600);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A mail worker with a manual clock.
struct TestMailer {
    handle: Mailer,
    clock: Clock,
    metrics: Arc<Metrics>,
    dir: TempDir,
}

fn settings() -> config::Mail {
    Config::default().mail
}

fn via(server: &smtp::Server) -> config::Mail {
    config::Mail { smtp_url: Some(SecretUrl(server.url())), ..settings() }
}

fn try_open(settings: &config::Mail, dir: &Path, clock: &Clock, metrics: &Arc<Metrics>) -> Result<Mailer, MailerError> {
    Mailer::start(settings, dir, clock.clone(), metrics.clone(), Rng::system())
}

impl TestMailer {
    fn open(settings: &config::Mail) -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), Clock::manual(NOW));
        let metrics = Arc::new(Metrics::new::<&str>(&[], NOW));
        let handle = try_open(settings, dir.path(), &clock, &metrics).unwrap();
        Self { handle, clock, metrics, dir }
    }

    /// The value of a metric.
    fn count(&self, series: &str) -> u64 {
        let page = self.metrics.page(&Snapshot::default(), &Readiness::default(), NOW).body;
        metric(&page, series)
    }

    /// The number of mails that ended in this way.
    fn count_mails(&self, end: &str) -> u64 {
        self.count(&format!("signet_mails_total{{end=\"{end}\"}}"))
    }

    /// Waits until this number of mails has ended in this way.
    async fn wait_for(&self, end: &str, count: u64) {
        until(&format!("{count} {end}"), async || self.count_mails(end) == count).await;
    }

    /// The files in the outbox, sorted by name.
    fn outbox(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.dir.path().join("outbox")).unwrap();
        let mut files = folder.map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        files.sort();
        files
    }

    /// Sends a letter to the outbox and parses the file.
    async fn deliver(&self, letter: Letter, language: Language) -> smtp::ParsedMail {
        self.deliver_mail(Mail { language, ..mail("ada@example.org", letter) }).await
    }

    /// Sends a mail to the outbox and parses the file.
    async fn deliver_mail(&self, mail: Mail) -> smtp::ParsedMail {
        let before = self.count_mails("sent");
        self.handle.enqueue(mail);
        self.wait_for("sent", before + 1).await;
        smtp::ParsedMail::parse(&std::fs::read(self.outbox().pop().unwrap()).unwrap())
    }
}

fn mail(to: &str, letter: Letter) -> Mail {
    Mail { to: to.to_owned(), language: Language::default(), letter, origin: origin(), expires_at: NOW + TEN_MINUTES }
}

/// A client with Firefox on Linux.
fn origin() -> Origin {
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    Origin { at: NOW, by: OriginBy::client([192, 0, 2, 7].into(), Some(agent)) }
}

fn code(to: &str) -> Mail {
    mail(to, Letter::SignInCode { code: "314159".to_owned() })
}
