//! `signet check`: the settings have passed when this begins; what is left is what is risky in them, and whether each
//! store and the mail server can be reached.

use serde::Serialize;

use super::output::{Columns, Output};
use super::{CliError, Program};
use crate::config::Config;
use crate::store;

/// What was found about one part.
#[derive(Debug, Serialize)]
struct Finding {
    part: &'static str,
    /// `ok`, `note` or `failed`.
    result: &'static str,
    detail: String,
}

const COLUMNS: Columns<Finding> = &[
    ("part", |finding| finding.part.to_owned()),
    ("result", |finding| finding.result.to_owned()),
    ("detail", |finding| finding.detail.clone()),
];

pub(super) async fn run(program: &dyn Program, config: &Config, output: &mut Output<'_>) -> Result<(), CliError> {
    let mut findings = vec![Finding { part: "settings", result: "ok", detail: "all can be used".to_owned() }];
    findings.extend(config.advice().into_iter().map(|detail| Finding { part: "settings", result: "note", detail }));

    let files = format!("the file in data_dir ({})", config.data_dir.display());
    let postgres = config.postgres.as_ref().map(|postgres| ("postgres.url", postgres.url.shown()));
    let accounts = async {
        program.accounts(config).await?.check().await?;
        Ok(Vec::new())
    };
    findings.extend(about("accounts", postgres, &files, accounts.await));

    let redis = config.redis.as_ref().map(|redis| ("redis.url", redis.url.shown()));
    let ephemeral = async { Ok(program.ephemeral(config).await?.check().await?) };
    findings.extend(about("ephemeral", redis, &files, ephemeral.await));

    let smtp = config.mail.smtp_url.as_ref().map(|url| ("mail.smtp_url", url.shown()));
    let outbox = format!("no mail.smtp_url: mails become files in data_dir ({})", config.data_dir.display());
    match (program.mail(config).await, smtp) {
        (Ok(()), None) => findings.push(Finding { part: "mail", result: "ok", detail: outbox }),
        // Without a server to ask, what is wrong is a setting, and it is named.
        (Err(failure), None) => {
            findings.push(Finding { part: "mail", result: "failed", detail: failure.to_string() });
        }
        (mailed, smtp) => findings.extend(about("mail", smtp, &outbox, mailed.map(|()| Vec::new()))),
    }

    output.rows(&findings, COLUMNS)?;
    match findings.iter().filter(|finding| finding.result == "failed").count() {
        0 => Ok(()),
        _ => Err(CliError::Refused {
            what: "not everything is as it must be".to_owned(),
            remedy: "see the lines above that say `failed`".to_owned(),
        }),
    }
}

fn about(
    part: &'static str,
    server: Option<(&'static str, String)>,
    files: &str,
    reached: Result<Vec<String>, CliError>,
) -> Vec<Finding> {
    let place = server.as_ref().map_or(files, |(_, address)| address.as_str());
    match reached {
        Ok(warnings) => {
            let ok = Finding { part, result: "ok", detail: format!("{place} answers") };
            let notes = warnings.into_iter().map(|detail| Finding { part, result: "note", detail });
            std::iter::once(ok).chain(notes).collect()
        }
        Err(failure) => {
            let todo = match (&failure, &server) {
                // It was reached, and says itself what is to be done.
                (CliError::Store(store::Error::Corrupt { .. }), _) => String::new(),
                (_, Some((setting, _))) => format!("; is the server running, and is {setting} right?"),
                (_, None) => "; can this user read and write there, and is the disk not full?".to_owned(),
            };
            vec![Finding { part, result: "failed", detail: format!("{place}: {failure}{todo}") }]
        }
    }
}
