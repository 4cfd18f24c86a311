//! The settings of mail delivery, and of how mails look.

use std::path::PathBuf;
use std::time::Duration;

use super::SecretUrl;

/// Mail delivery.
#[derive(Clone, Debug)]
pub struct Mail {
    /// `smtp://` or `smtps://`; `None`: mails become files in `data_dir`.
    pub smtp_url: Option<SecretUrl>,
    /// PEM file of certificate authorities to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// Time limit for the mail server.
    pub timeout: Duration,
    /// Sender of mails.
    pub from: String,
    /// Name of the service, in mails and on pages.
    pub service_name: String,
    /// The logo in mails and on pages.
    pub logo: Option<Logo>,
    /// The page where people manage their account. Notices link to it.
    pub account_url: String,
    /// True if users get a mail about a sign-in from a new network.
    pub new_sign_in_notice: bool,
    /// Maximum number of queued mails.
    pub queue: usize,
    /// Directory of letters that override the built-in ones.
    pub templates: Option<PathBuf>,
    /// Time for which mails in the outbox are kept.
    pub outbox_keep: Duration,
}

/// An image that stands for the service.
#[derive(Clone, Debug)]
pub struct Logo {
    /// The file.
    pub path: PathBuf,
    /// The address at which Signet serves it.
    pub url: String,
}
