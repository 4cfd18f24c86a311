//! `signet check`: tests a configuration part by part, and says what is wrong and what to do. Creates and changes
//! nothing: no folder, no database, no secret, no migration.
//!
//! The settings themselves have passed before this begins. It can run beside a server with the same settings: addresses
//! that this server listens on are not reported as taken.

use std::cmp::Ordering;
use std::fmt::Display;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::build::node_name_prefix;
use super::error::StartError;
use super::secret_file;
use super::stores::Stores;
use crate::auth::retention::key_policy;
use crate::auth::signing_keys::KeyringStore;
use crate::config::{Config, Tls};
use crate::mail::{self, outbox_dir};
use crate::rng::Rng;
use crate::server::{BindError, check_address, check_certificate};
use crate::store::ephemeral::{Cursor, Warning};
use crate::store::migrations::Schema;
use crate::store::{self, Ephemeral};
use crate::token::Ed25519Implementation;
use crate::token::secret::Secrets;

/// The longest wait for a listener to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The part can be used.
    Ok,
    /// The part can be used, but the operator should know something.
    Note,
    /// The part cannot be used.
    Failed,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The part that was checked.
    pub part: &'static str,
    /// The result.
    pub outcome: Outcome,
    /// A description; after a failure also the remedy.
    pub detail: String,
}

impl Finding {
    fn ok(part: &'static str, detail: impl Into<String>) -> Self {
        Self { part, outcome: Outcome::Ok, detail: detail.into() }
    }

    fn note(part: &'static str, detail: impl Into<String>) -> Self {
        Self { part, outcome: Outcome::Note, detail: detail.into() }
    }

    fn failed(part: &'static str, detail: impl Into<String>) -> Self {
        Self { part, outcome: Outcome::Failed, detail: detail.into() }
    }
}

/// Checks every part.
pub async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("settings", "all settings are valid")];
    findings.extend(config.advice().into_iter().map(|advice| Finding::note("settings", advice)));
    findings.push(check_data_dir(&config.data_dir));

    let (stores, file_error) = match Stores::open_existing(config) {
        Ok(stores) => (stores, None),
        Err(error) => (Stores::without_embedded(config), Some(error)),
    };
    let file = match file_error {
        Some(error) => EmbeddedFile::Broken(error.to_string()),
        None if stores.has_embedded() => EmbeddedFile::Open,
        None => EmbeddedFile::Missing,
    };
    let accounts = async {
        stores.accounts()?.check().await?;
        let missing = stores.limits_not_in_force().await;
        let unknown = |error| vec![format!("the limits of statements could not be read: {error}")];
        Ok(missing.unwrap_or_else(unknown).into_iter().map(Warning::Risk).collect())
    };
    let server = config.postgres.as_ref().map(|postgres| ("postgres.url", postgres.url.shown()));
    findings.extend(check_store("accounts", server, &file, config, accounts).await);

    let mut usable = None;
    let ephemeral = async {
        let store = stores.ephemeral().await?;
        let warnings = store.check().await?;
        usable = Some(store);
        Ok(warnings)
    };
    let server = config.redis.as_ref().map(|redis| ("redis.url", redis.url.shown()));
    findings.extend(check_store("ephemeral", server, &file, config, ephemeral).await);

    findings.extend(stores.schemas().await.into_iter().filter_map(|(store, schema)| check_schema(store, schema)));
    findings.push(check_secret(config, usable.as_deref()).await);
    let running = find_running(config, usable.as_deref()).await;
    let listener = |setting, address| check_listener(setting, address, check_address(address), running.as_deref());
    findings.push(listener("server.listen", config.server.listen));
    findings.extend(config.server.management.map(|address| listener("server.management", address)));
    findings.extend(config.server.tls.as_ref().map(check_tls));
    findings.push(check_mail(config).await);
    findings.push(check_signatures(Ed25519Implementation::in_use(), Ed25519Implementation::rejected()));
    findings
}

fn check_data_dir(dir: &Path) -> Finding {
    let shown = dir.display();
    match check_writable(dir) {
        Ok(true) => Finding::ok("data_dir", format!("{shown} can be written")),
        Ok(false) => Finding::ok("data_dir", format!("{shown} does not exist yet; the first start creates it")),
        Err(problem) => {
            let remedy = "give it to the user that runs signet, or set SIGNET_DATA_DIR";
            Finding::failed("data_dir", format!("{problem}; {remedy}"))
        }
    }
}

/// The state of the embedded file, which a role without a server uses.
enum EmbeddedFile {
    Open,
    Missing,
    Broken(String),
}

/// Checks one role. `server` is the setting and the address of the server that plays it, if there is one.
async fn check_store(
    part: &'static str,
    server: Option<(&'static str, String)>,
    file: &EmbeddedFile,
    config: &Config,
    check: impl Future<Output = Result<Vec<Warning>, StartError>>,
) -> Vec<Finding> {
    let dir = config.data_dir.display();
    match (&server, file) {
        (None, EmbeddedFile::Missing) => {
            let detail = format!("there is no database in data_dir ({dir}) yet; the first start creates it");
            return vec![Finding::ok(part, detail)];
        }
        (None, EmbeddedFile::Broken(problem)) => return vec![Finding::failed(part, problem)],
        _ => {}
    }
    let location = server.as_ref().map_or_else(|| format!("the file in data_dir ({dir})"), |(_, url)| url.clone());
    match check.await {
        Ok(warnings) => {
            let ok = Finding::ok(part, format!("{location} answers"));
            let warnings = warnings.into_iter().map(|warning| match warning {
                Warning::Unsupported(detail) => Finding::failed(part, detail),
                Warning::Risk(detail) => Finding::note(part, detail),
            });
            std::iter::once(ok).chain(warnings).collect()
        }
        Err(error) => {
            let remedy = match (&error, &server) {
                // The store was reached, and the error says what to do.
                (StartError::Store(store::Error::Corrupt { .. }), _) => String::new(),
                // The error of rustls for a certificate that no trusted authority has issued.
                (error, Some((setting, _))) if error.to_string().contains("UnknownIssuer") => {
                    let section = setting.trim_end_matches(".url");
                    format!("; set {section}.ca to the file with the certificate of the authority that issued it")
                }
                (_, Some((setting, _))) => format!("; is the server running, and is {setting} right?"),
                (_, None) => "; can this user read and write there, and is the disk not full?".to_owned(),
            };
            vec![Finding::failed(part, format!("{location}: {error}{remedy}"))]
        }
    }
}

/// Reports the schema of a store; `None` if this program cannot work on it, which the check of the store has reported.
fn check_schema(store: &'static str, Schema { number, known, oldest_reader }: Schema) -> Option<Finding> {
    let detail = format!("{store} has schema {number}; this program knows {known}");
    match number.cmp(&known) {
        Ordering::Equal => Some(Finding::ok("schema", detail)),
        Ordering::Less => Some(Finding::note("schema", format!("{detail}; a start or `signet migrate` updates it"))),
        Ordering::Greater if oldest_reader <= known => {
            let remedy = format!("and works on it, as do all that know {oldest_reader} or more");
            Some(Finding::note("schema", format!("{detail}, {remedy}")))
        }
        Ordering::Greater => None,
    }
}

/// Checks that the secret opens the fleet's keyring, or its mirror if the store has none. `store` is the ephemeral
/// store, if it can be used.
async fn check_secret(config: &Config, store: Option<&dyn Ephemeral>) -> Finding {
    let (secrets, source) = match &config.secrets {
        Some(secrets) => (Ok(Some(secrets.clone())), "SIGNET_SECRET".to_owned()),
        None => {
            let secret = secret_file::load(&config.data_dir).map(|secret| secret.map(|secret| vec![secret]));
            (secret.map_err(|error| error.to_string()), format!("the secret in {}", config.data_dir.display()))
        }
    };
    let rng = Rng::system();
    let secrets = match secrets {
        Ok(Some(secrets)) => match Secrets::new(&secrets) {
            Ok(secrets) => Some(secrets),
            Err(error) => return Finding::failed("secret", error.to_string()),
        },
        Ok(None) => None,
        Err(problem) => return Finding::failed("secret", problem),
    };
    let Some(store) = store else {
        return match (&secrets, &config.redis) {
            (None, _) => Finding::ok("secret", "there is no secret yet; the first start creates it"),
            (Some(_), None) => Finding::ok("secret", format!("{source} is valid; there is no keyring yet")),
            (Some(_), Some(_)) => {
                Finding::note("secret", format!("{source} could not be compared with the keyring, which is in Redis"))
            }
        };
    };
    let Some(secrets) = secrets else {
        return match store.keyring().await {
            Ok(None) => Finding::ok("secret", "there is no secret yet; the first start creates it"),
            Ok(Some(_)) => Finding::failed(
                "secret",
                format!(
                    "{} has no file `secret`, but the database has a keyring sealed with one; restore it from a backup",
                    config.data_dir.display()
                ),
            ),
            Err(error) => Finding::failed("secret", error.to_string()),
        };
    };
    let policy = key_policy(config);
    let keyring_store = KeyringStore { store, secrets: &secrets, data_dir: &config.data_dir, rng: &rng, policy };
    match keyring_store.check().await {
        Ok(true) => Finding::ok("secret", format!("{source} opens the keyring")),
        Ok(false) => Finding::ok("secret", format!("{source} is valid; there is no keyring yet")),
        Err(error) => Finding::failed("secret", format!("{source}: {error}")),
    }
}

/// The name of a running server on this host that is configured to listen on the same address, if there is one.
async fn find_running(config: &Config, store: Option<&dyn Ephemeral>) -> Option<String> {
    let prefix = node_name_prefix(config);
    let nodes = store?.nodes(&Cursor::start()).await.ok()?;
    nodes.into_iter().map(|node| node.name).find(|name| name.starts_with(&prefix))
}

/// `free`: the result of listening on the address.
fn check_listener(
    setting: &'static str,
    address: SocketAddr,
    free: Result<(), BindError>,
    running: Option<&str>,
) -> Finding {
    let in_use = |node| Finding::note(setting, format!("{address} is in use by the running server {node}"));
    match (free, running) {
        (Ok(()), _) => Finding::ok(setting, format!("{address} is free")),
        (Err(BindError::Taken { .. }), Some(node)) => in_use(node),
        // The user that checks may lack the privilege that the server has for a port below 1024. If nobody listens
        // there, the setting is newer than the server, which may lack the privilege too.
        (Err(BindError::Forbidden { .. }), Some(node))
            if TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).is_ok() =>
        {
            in_use(node)
        }
        (Err(error), _) => Finding::failed(setting, format!("{error}; or change {setting}")),
    }
}

fn check_tls(files: &Tls) -> Finding {
    match check_certificate(files) {
        Ok(()) => Finding::ok("server.tls", format!("{} and its key can be used", files.certificate.display())),
        Err(error) => {
            Finding::failed("server.tls", format!("{error}; the user that runs signet must be able to read both files"))
        }
    }
}

async fn check_mail(config: &Config) -> Finding {
    let smtp = config.mail.smtp_url.as_ref().map(|url| url.shown());
    match (mail::check(&config.mail).await, smtp) {
        (Err(error), _) => Finding::failed("mail", format!("{error}; config.toml describes [mail]")),
        (Ok(Err(error)), Some(smtp)) => {
            let remedy = "is the server running, and is mail.smtp_url right?";
            Finding::failed("mail", format!("{smtp}: {error}; {remedy}"))
        }
        (Ok(_), Some(smtp)) => Finding::ok("mail", format!("{smtp} answers")),
        (Ok(_), None) => {
            let outbox = outbox_dir(&config.data_dir);
            match check_writable(&outbox) {
                Ok(_) => {
                    let detail =
                        format!("mail.smtp_url is not set: mail becomes files in data_dir ({})", outbox.display());
                    Finding::ok("mail", detail)
                }
                Err(problem) => {
                    let remedy = "give it to the user that runs signet, or set mail.smtp_url to a mail server";
                    Finding::failed("mail", format!("{problem}; {remedy}"))
                }
            }
        }
    }
}

/// Reports the code that verifies Ed25519 signatures. A server chooses it in the same way at its first signature, and
/// logs an error there. `rejected`: the code for this processor, if it computes something else than the reference.
fn check_signatures(in_use: impl Display, rejected: Option<impl Display>) -> Finding {
    match rejected {
        None => Finding::ok("signatures", format!("implementation of Ed25519: {in_use}")),
        Some(rejected) => {
            let problem = format!("{rejected} computes wrong sums for Ed25519: the slower {in_use} is used instead");
            let remedy = "replace the machine if others of its kind do not report this; otherwise report it";
            Finding::note("signatures", format!("{problem}; {remedy}"))
        }
    }
}

/// Checks that files can be created in `dir`; if it does not exist, that it can be created. Returns true if it exists.
fn check_writable(dir: &Path) -> Result<bool, String> {
    let dir = std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut nearest = dir.as_path();
    loop {
        let shown = nearest.display();
        match std::fs::metadata(nearest) {
            Ok(found) if !found.is_dir() => return Err(format!("{shown} is not a folder")),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                nearest = nearest.parent().ok_or_else(|| format!("{shown}: {error}"))?;
            }
            Err(error) => return Err(format!("{shown} cannot be read: {error}")),
        }
    }
    accessat(CWD, nearest, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|error| format!("{} cannot be written: {error}", nearest.display()))?;
    Ok(nearest == dir)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn outcome(address: SocketAddr, running: Option<&str>) -> Outcome {
        check_listener("server.management", address, Err(BindError::Forbidden { address }), running).outcome
    }

    #[test]
    fn code_that_verifies_wrongly_is_noted() {
        assert_eq!(check_signatures("reference", None::<&str>).outcome, Outcome::Ok);
        let finding = check_signatures("reference", Some("AVX-512 IFMA"));
        assert_eq!(finding.outcome, Outcome::Note);
        assert!(finding.detail.starts_with("AVX-512 IFMA computes wrong sums"), "{}", finding.detail);
    }

    #[test]
    fn a_forbidden_port_is_in_use_if_somebody_listens() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listening = TcpListener::bind(any).unwrap();
        let address = listening.local_addr().unwrap();
        assert_eq!(outcome(address, Some("node")), Outcome::Note);
        assert_eq!(outcome(address, None), Outcome::Failed);
        // This socket reserves the port and does not listen.
        let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        silent.bind(&any.into()).unwrap();
        let address = silent.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(outcome(address, Some("node")), Outcome::Failed);
    }
}
