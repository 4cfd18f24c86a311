//! Mail through a server (RFC 5321, RFC 6409): how its address is read, the connections to it, and what its refusals mean. Knows
//! nothing of what is in a mail.
//!
//! lettre has a pool of its own, which is not used: it puts a connection back whose use was given up half-way, and the next mail
//! would read the answer to the last one's commands as its own. Here only a connection whose mail was taken is used again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::timeout;
use url::{Host, Url};

use super::message::Composed;
use crate::config;

/// How long a connection may stand unused before it is taken for broken. Servers close theirs after minutes (RFC 5321, 4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(30);

/// Why a server cannot be used as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The address cannot be used. It may hold a password and is not quoted.
    #[error("mail.smtp_url cannot be used: {0}")]
    Address(&'static str),
    /// The authorities cannot be used.
    #[error("mail.ca: {}: {detail}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// There is no trusting anybody.
    #[error("TLS to the mail server cannot be set up: {0}")]
    Tls(String),
}

/// What became of a mail that was not taken. Never says what the server said, which may quote the mail: only its codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// There was nobody to hand any mail to.
    Away(String),
    /// This one may be taken later.
    Later(String),
    /// It will never be.
    Never(String),
}

/// A mail server.
pub(super) struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    hello: ClientId,
    credentials: Option<Credentials>,
    timeout: Duration,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

enum Tls {
    /// From the first byte (RFC 8314).
    Always(TlsParameters),
    /// By STARTTLS (RFC 3207), or not at all.
    Required(TlsParameters),
    /// By STARTTLS if the server has it, which who stands in between can deny.
    Opportunistic(TlsParameters),
    Never,
}

impl Smtp {
    /// Reads the address. `greeting` is the name that is given to the server where the address has none.
    pub(super) fn new(url: &str, settings: &config::Mail, greeting: &str) -> Result<Self, SmtpError> {
        // What the reader of addresses says of one may quote it.
        let url = Url::parse(url).map_err(|_| SmtpError::Address("it is no address"))?;
        let host = match url.host() {
            Some(Host::Domain("")) | None => return Err(SmtpError::Address("it names no host")),
            Some(Host::Domain(name)) => match name.parse::<std::net::IpAddr>() {
                Ok(ip) => ip.to_string(),
                Err(_) => name.to_ascii_lowercase(),
            },
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
        };
        let mut mode = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "tls" if mode.is_none() => mode = Some(value.into_owned()),
                _ => {
                    return Err(SmtpError::Address(
                        "what follows its ? may be tls=required, tls=opportunistic or tls=none",
                    ));
                }
            }
        }
        let parameters = || trusting(&host, settings.ca.as_deref());
        let (usual, tls) = match (url.scheme(), mode.as_deref()) {
            ("smtps", None) => (465, Tls::Always(parameters()?)),
            ("smtp", None | Some("required")) => (587, Tls::Required(parameters()?)),
            ("smtp", Some("opportunistic")) => (587, Tls::Opportunistic(parameters()?)),
            ("smtp", Some("none")) => (25, Tls::Never),
            ("smtp", Some(_)) => return Err(SmtpError::Address("tls is none of required, opportunistic, none")),
            ("smtps", Some(_)) => {
                return Err(SmtpError::Address("smtps:// is TLS from the first byte, and has no tls="));
            }
            _ => return Err(SmtpError::Address("it does not begin with smtp:// or smtps://")),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            let text = text.map_err(|_| SmtpError::Address("its user and password are not UTF-8"))?;
            Ok(text.into_owned())
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials::new(decoded(user)?, decoded(password.unwrap_or_default())?)),
        };
        let hello = match url.path().trim_matches('/') {
            "" => greeting.to_owned(),
            name if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) => name.to_owned(),
            _ => return Err(SmtpError::Address("its path, the name to greet the server with, is no host name")),
        };
        let port = url.port().unwrap_or(usual);
        let (hello, idle) = (ClientId::Domain(hello), Mutex::default());
        Ok(Self { host, port, tls, hello, credentials, timeout: settings.timeout, idle })
    }

    /// Hands a mail over. Given up half-way, its connection is given up too.
    pub(super) async fn send(&self, mail: &Composed) -> Result<(), NotTaken> {
        let mut connection = match self.unused().await {
            Some(connection) => connection,
            None => self.connection().await?,
        };
        self.hand_over(&mut connection, &mail.envelope, &mail.bytes).await?;
        self.lock().push((connection, Instant::now()));
        Ok(())
    }

    /// Whether mails would be taken from us: a connection, and a sign-in where there is one to make.
    pub(super) async fn check(&self) -> Result<(), NotTaken> {
        let mut connection = self.connection().await?;
        let _ = timeout(self.timeout, connection.quit()).await;
        Ok(())
    }

    /// Says good-bye on every connection that is not in use.
    pub(super) async fn close(&self) {
        let idle = std::mem::take(&mut *self.lock());
        for (mut connection, _) in idle {
            let _ = timeout(Duration::from_millis(200), connection.quit()).await;
        }
    }

    /// One that stood ready and still answers.
    async fn unused(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut connection, since) = self.lock().pop()?;
            if since.elapsed() < IDLE && timeout(self.timeout, connection.test_connected()).await == Ok(true) {
                return Some(connection);
            }
        }
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, NotTaken> {
        let always = match &self.tls {
            Tls::Always(parameters) => Some(parameters.clone()),
            _ => None,
        };
        // What has not connected in time can be given up without loss: nothing has been said yet.
        let address = (self.host.as_str(), self.port);
        let open = AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &self.hello, always, None);
        let mut connection = self.in_time("connecting", open).await.map_err(away)?;
        match &self.tls {
            Tls::Required(parameters) => {
                self.in_time("STARTTLS", connection.starttls(parameters.clone(), &self.hello)).await?;
            }
            Tls::Opportunistic(parameters) if connection.can_starttls() => {
                self.in_time("STARTTLS", connection.starttls(parameters.clone(), &self.hello)).await?;
            }
            Tls::Always(_) | Tls::Opportunistic(_) | Tls::Never => {}
        }
        if let Some(credentials) = &self.credentials {
            self.in_time("signing in", connection.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(connection)
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        bytes: &[u8],
    ) -> Result<(), NotTaken> {
        let sent = timeout(self.timeout, connection.send(envelope, bytes)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            // The server does not know SMTPUTF8 or 8BITMIME, without which this address cannot be written to (RFC 6531, 3.2).
            Ok(Err(error)) if error.is_client() => Err(NotTaken::Never(told("handing over", &error))),
            Ok(Err(error)) => Err(judged("handing over", &error)),
            Err(_) => Err(late("handing over")),
        }
    }

    async fn in_time<T>(&self, doing: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, NotTaken> {
        match timeout(self.timeout, work).await {
            Ok(done) => done.map_err(|error| judged(doing, &error)),
            Err(_) => Err(late(doing)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(AsyncSmtpConnection, Instant)>> {
        // A list of connections is whole whenever it can be seen.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn judged(doing: &str, error: &Error) -> NotTaken {
    // RFC 5321, 4.2.1: 5yz must not be repeated as it is; all else, broken connections too, may get better.
    let told = told(doing, error);
    if error.is_permanent() { NotTaken::Never(told) } else { NotTaken::Later(told) }
}

/// Whom there is no reaching no mail reaches.
fn away(why: NotTaken) -> NotTaken {
    match why {
        NotTaken::Later(why) => NotTaken::Away(why),
        other => other,
    }
}

fn late(doing: &str) -> NotTaken {
    NotTaken::Later(format!("{doing}: no answer in time"))
}

/// An error without the server's own words: those may quote an address, a link or what was signed in with.
fn told(doing: &str, error: &Error) -> String {
    use std::error::Error as _;
    let detail = match error.status() {
        Some(code) => {
            let words = error.source().map(ToString::to_string).unwrap_or_default();
            let enhanced = words.split(' ').next().filter(|word| is_enhanced_code(word)).unwrap_or_default();
            format!("answered {code} {enhanced}").trim_end().to_owned()
        }
        None if error.is_response() => "an answer that is not SMTP".to_owned(),
        None => error.to_string(),
    };
    format!("{doing}: {detail}")
}

/// RFC 3463: `5.7.1`.
fn is_enhanced_code(word: &str) -> bool {
    let parts = word.split('.').collect::<Vec<_>>();
    parts.len() == 3
        && parts.iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whom to believe that this is `host`: the system's authorities, and those in the file.
fn trusting(host: &str, ca: Option<&Path>) -> Result<TlsParameters, SmtpError> {
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::Default);
    if let Some(path) = ca {
        let refused = |detail: String| SmtpError::Authorities { path: path.to_owned(), detail };
        let mut found = false;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))? {
            let der = certificate.map_err(|error| refused(error.to_string()))?.to_vec();
            builder =
                builder.add_root_certificate(Certificate::from_der(der).map_err(|error| refused(error.to_string()))?);
            found = true;
        }
        if !found {
            return Err(refused("there is no certificate in it".to_owned()));
        }
    }
    builder.build().map_err(|error| SmtpError::Tls(error.to_string()))
}
