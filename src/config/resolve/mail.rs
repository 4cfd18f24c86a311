//! The settings of mail: each once, with its type, its bounds and its default.

use super::super::reader::Section;
use super::super::{Logo, Mail};
use super::{days, minutes, ms, seconds};
use crate::config::values::{Bool, DurationRange, FilePath, Integer, LinkAddress, Sender, StoreAddress, Text};

/// The path of the logo below the pages.
pub(crate) const LOGO_PATH: &str = "/pages/logo";

/// `pages`: the URL of Signet's own pages, for links whose page no setting names.
pub(super) fn mail(from: &mut Section<'_>, pages: &str) -> Mail {
    Mail {
        smtp_url: from.read_option("smtp_url", StoreAddress(&["smtp://", "smtps://"])),
        ca: from.read_option("ca", FilePath),
        timeout: from.read("timeout", DurationRange(ms(100), minutes(10)), seconds(20)),
        from: from.read("from", Sender, "Signet <signet@localhost>".to_owned()),
        service_name: from.read("service_name", Text, "Signet".to_owned()),
        logo: from.read_option("logo", FilePath).map(|path| Logo { path, url: format!("{pages}{LOGO_PATH}") }),
        account_url: from.read("account_url", LinkAddress, format!("{pages}/account")),
        new_sign_in_notice: from.read("new_sign_in_notice", Bool, true),
        queue: from.read("queue", Integer(1, 1_000_000), 1_000) as usize,
        templates: from.read_option("templates", FilePath),
        outbox_keep: from.read("outbox_keep", DurationRange(minutes(1), days(3650)), days(7)),
    }
}
