//! Mail through a server (RFC 5321, RFC 6409): the server's URL, connections, and the meaning of its replies. Knows
//! nothing of the content of a mail.
//!
//! lettre's own pool is not used: it returns a connection whose use was cancelled half-way, and the next mail would
//! then read the replies to the previous one's commands. Here a connection is reused only after its mail was accepted.

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

use super::message::EncodedMail;
use crate::config;

/// Age at which an idle connection is discarded. Servers close idle connections after minutes (RFC 5321, 4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(30);

/// The mail server's settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The URL is invalid. It may contain a password, so the message does not quote it.
    #[error("mail.smtp_url cannot be used: {0}")]
    Address(&'static str),
    /// The file of certificate authorities is invalid.
    #[error("mail.ca: {}: {detail}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// The problem.
        detail: String,
    },
    /// TLS cannot be set up.
    #[error("TLS to the mail server cannot be set up: {0}")]
    Tls(String),
}

/// A mail was not accepted. Holds the server's reply codes but never its text, which may quote the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// The server could not be reached.
    Unreachable(String),
    /// The server refuses the connection or the login, whatever the mail. An operator can mend that.
    ClientRefused(String),
    /// The server may accept the mail later.
    Temporary(String),
    /// The server will never accept the mail.
    Permanent(String),
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
    /// TLS from the first byte (RFC 8314).
    Always(TlsParameters),
    /// STARTTLS (RFC 3207), required.
    Required(TlsParameters),
    /// STARTTLS if the server offers it, which an attacker on the path can suppress.
    Opportunistic(TlsParameters),
    Never,
}

impl Smtp {
    /// Parses the URL. `greeting` is the name for EHLO if the URL has none.
    pub(super) fn new(url: &str, settings: &config::Mail, greeting: &str) -> Result<Self, SmtpError> {
        // The parser's error may quote the URL.
        let url = Url::parse(url).map_err(|_| SmtpError::Address("it is not a URL"))?;
        let host = match url.host() {
            Some(Host::Domain("")) | None => return Err(SmtpError::Address("it has no host")),
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
                        "its query may only be tls=required, tls=opportunistic or tls=none",
                    ));
                }
            }
        }
        let parameters = || tls_parameters(&host, settings.ca.as_deref());
        let (default_port, tls) = match (url.scheme(), mode.as_deref()) {
            ("smtps", None) => (465, Tls::Always(parameters()?)),
            ("smtp", None | Some("required")) => (587, Tls::Required(parameters()?)),
            ("smtp", Some("opportunistic")) => (587, Tls::Opportunistic(parameters()?)),
            ("smtp", Some("none")) => (25, Tls::Never),
            ("smtp", Some(_)) => return Err(SmtpError::Address("tls must be required, opportunistic or none")),
            ("smtps", Some(_)) => {
                return Err(SmtpError::Address("smtps:// always uses TLS and takes no tls= parameter"));
            }
            _ => return Err(SmtpError::Address("it must begin with smtp:// or smtps://")),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            let text = text.map_err(|_| SmtpError::Address("its user and password must be UTF-8"))?;
            Ok(text.into_owned())
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some(Credentials::new(decoded(user)?, decoded(password.unwrap_or_default())?)),
        };
        let hello = match url.path().trim_matches('/') {
            "" => greeting.to_owned(),
            name if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) => name.to_owned(),
            _ => return Err(SmtpError::Address("its path, the name for EHLO, must be a host name")),
        };
        let port = url.port().unwrap_or(default_port);
        let (hello, idle) = (ClientId::Domain(hello), Mutex::default());
        Ok(Self { host, port, tls, hello, credentials, timeout: settings.timeout, idle })
    }

    /// The server's name and port.
    pub(super) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Sends a mail. Cancelling the future discards the connection.
    pub(super) async fn send(&self, mail: &EncodedMail) -> Result<(), SendError> {
        let mut connection = match self.take_idle().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        self.transmit(&mut connection, &mail.envelope, &mail.bytes).await?;
        self.lock().push((connection, Instant::now()));
        Ok(())
    }

    /// Connects, and signs in if credentials are set, without sending a mail.
    pub(super) async fn check(&self) -> Result<(), SendError> {
        let mut connection = self.connect().await?;
        let _ = timeout(self.timeout, connection.quit()).await;
        Ok(())
    }

    /// Sends QUIT on every idle connection.
    pub(super) async fn close(&self) {
        let idle = std::mem::take(&mut *self.lock());
        for (mut connection, _) in idle {
            let _ = timeout(Duration::from_millis(200), connection.quit()).await;
        }
    }

    /// Returns an idle connection that still answers.
    async fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut connection, since) = self.lock().pop()?;
            if since.elapsed() < IDLE && timeout(self.timeout, connection.test_connected()).await == Ok(true) {
                return Some(connection);
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        self.open_session().await.map_err(refuses_client)
    }

    async fn open_session(&self) -> Result<AsyncSmtpConnection, SendError> {
        let always = match &self.tls {
            Tls::Always(parameters) => Some(parameters.clone()),
            _ => None,
        };
        // A connection attempt that times out loses nothing, because no mail was sent on it.
        let address = (self.host.as_str(), self.port);
        let open = AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &self.hello, always, None);
        let mut connection = self.with_timeout("connecting", open).await.map_err(unreachable)?;
        match &self.tls {
            Tls::Required(parameters) => {
                self.with_timeout("STARTTLS", connection.starttls(parameters.clone(), &self.hello)).await?;
            }
            Tls::Opportunistic(parameters) if connection.can_starttls() => {
                self.with_timeout("STARTTLS", connection.starttls(parameters.clone(), &self.hello)).await?;
            }
            Tls::Always(_) | Tls::Opportunistic(_) | Tls::Never => {}
        }
        if let Some(credentials) = &self.credentials {
            self.with_timeout("authenticating", connection.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(connection)
    }

    async fn transmit(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        let sent = timeout(self.timeout, connection.send(envelope, bytes)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            // The server lacks SMTPUTF8 or 8BITMIME, which this address needs (RFC 6531, 3.2).
            Ok(Err(error)) if error.is_client() => Err(SendError::Permanent(describe("sending", &error))),
            Ok(Err(error)) => Err(classify("sending", &error)),
            Err(_) => Err(timed_out("sending")),
        }
    }

    async fn with_timeout<T>(&self, doing: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, SendError> {
        match timeout(self.timeout, work).await {
            Ok(done) => done.map_err(|error| classify(doing, &error)),
            Err(_) => Err(timed_out(doing)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(AsyncSmtpConnection, Instant)>> {
        // A panic cannot leave the list of connections half-changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn classify(doing: &str, error: &Error) -> SendError {
    // RFC 5321, 4.2.1: a 5xx reply must not be retried unchanged. Anything else, broken connections included, may
    // succeed later.
    let reason = describe(doing, error);
    if error.is_permanent() { SendError::Permanent(reason) } else { SendError::Temporary(reason) }
}

/// A failed connection concerns all mails, not just this one.
fn unreachable(why: SendError) -> SendError {
    match why {
        SendError::Temporary(why) => SendError::Unreachable(why),
        other => other,
    }
}

/// A 5xx reply to the greeting, STARTTLS or the login concerns all mails too.
fn refuses_client(why: SendError) -> SendError {
    match why {
        SendError::Permanent(why) => SendError::ClientRefused(why),
        other => other,
    }
}

fn timed_out(doing: &str) -> SendError {
    SendError::Temporary(format!("{doing}: no reply in time"))
}

/// Describes an error without the server's text, which may quote an address, a link or credentials.
fn describe(doing: &str, error: &Error) -> String {
    use std::error::Error as _;
    let detail = match error.status() {
        Some(code) => {
            let words = error.source().map(ToString::to_string).unwrap_or_default();
            let enhanced = words.split(' ').next().filter(|word| is_enhanced_code(word)).unwrap_or_default();
            format!("answered {code} {enhanced}").trim_end().to_owned()
        }
        None if error.is_response() => "a reply that is not SMTP".to_owned(),
        None => error.to_string(),
    };
    format!("{doing}: {detail}")
}

/// An enhanced status code (RFC 3463), such as `5.7.1`.
fn is_enhanced_code(word: &str) -> bool {
    let parts = word.split('.').collect::<Vec<_>>();
    parts.len() == 3
        && parts.iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// TLS parameters for `host`: trusts the system's certificate authorities and those in the file.
fn tls_parameters(host: &str, ca: Option<&Path>) -> Result<TlsParameters, SmtpError> {
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
            return Err(refused("it contains no certificate".to_owned()));
        }
    }
    builder.build().map_err(|error| SmtpError::Tls(error.to_string()))
}
