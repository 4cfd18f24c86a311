//! The settings of audiences: a table for each, by name, and so the only settings whose keys are not fixed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::reader::Reader;
use super::super::{Api, Audience, SigningAlgorithm, Tokens};
use super::claims::OF_AUDIENCE;
use super::{days, seconds};
use crate::config::environment::variable;
use crate::config::values::{DurationRange, OneOf, ValueType, format_duration};

/// The section of the tables.
const SECTION: &str = "audiences";

/// The settings of one audience.
const SETTINGS: &[&str] = &["algorithm", "claims", "lifetime", "scopes"];

/// The most audiences: minting a token and finding the audience that a request names go through the list.
const MAX_AUDIENCES: usize = 100;

/// The longest name, in characters. Each token carries one.
const MAX_NAME: usize = 200;

/// The most claims, and the most scopes, of one audience.
const MAX_ITEMS: usize = 64;

/// Reads every audience, sorted by name.
pub(super) fn audiences(from: &mut Reader) -> Vec<Audience> {
    const ALGORITHMS: OneOf<SigningAlgorithm> =
        OneOf(&[("EdDSA", SigningAlgorithm::EdDsa), ("ES256", SigningAlgorithm::Es256)]);
    let read = |name: String, from: &mut Reader| {
        let mut section = from.section(&format!("{SECTION}.{name}"));
        Audience {
            lifetime: section.read_option("lifetime", DurationRange(seconds(1), days(1))),
            algorithm: section.read("algorithm", ALGORITHMS, SigningAlgorithm::EdDsa),
            claims: section.read_list("claims", OF_AUDIENCE),
            scopes: section.read_list("scopes", Scope),
            name,
        }
    };
    from.table_names(SECTION, SETTINGS).into_iter().map(|name| read(name, from)).collect()
}

pub(super) fn check_rules(audiences: &[Audience], tokens: &Tokens, api: &Api, from: &mut Reader) {
    let longest = api.all().into_iter().map(|(_, dialect)| dialect.access).max().unwrap_or(Duration::ZERO);
    let mut variables: BTreeMap<String, &str> = BTreeMap::new();
    if audiences.len() > MAX_AUDIENCES {
        from.conflict(SECTION, format!("has more than {MAX_AUDIENCES} audiences"));
    }
    for audience in audiences {
        let name = &audience.name;
        let key = format!("{SECTION}.{name}");
        if !is_name(name) {
            let rule =
                format!("must have a name of 1 to {MAX_NAME} visible ASCII characters other than quotes, \\ and #");
            from.conflict(&key, rule);
        }
        if *name == tokens.audience {
            from.conflict(&key, "has the name of tokens.audience, whose tokens have no settings of their own");
        }
        if let Some(other) = variables.insert(variable(&format!("{key}.lifetime")), name) {
            from.conflict(&key, format!("has the same environment variables as {SECTION}.{other}: rename one of them"));
        }
        // The lifetime would be written down, and no token would have it.
        if audience.lifetime.is_some_and(|lifetime| lifetime > longest) {
            let rule = format!("must not be longer than the longest api.*.access ({})", format_duration(longest));
            from.conflict(&format!("{key}.lifetime"), rule);
        }
        for (setting, items) in [("claims", &audience.claims), ("scopes", &audience.scopes)] {
            if items.as_ref().is_some_and(|items| items.len() > MAX_ITEMS) {
                from.conflict(&format!("{key}.{setting}"), format!("has more than {MAX_ITEMS} items"));
            }
        }
    }
}

/// A `resource` has no fragment (RFC 8707, 2).
fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\#".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(good)
}

/// A scope (RFC 6749, 3.3).
struct Scope;
impl ValueType for Scope {
    type Value = String;
    fn allowed(&self) -> String {
        "scopes of 1 to 200 visible ASCII characters other than \" and \\, such as orders:read".to_owned()
    }
    fn parse(&self, text: &str) -> Option<String> {
        let good = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        ((1..=200).contains(&text.len()) && text.bytes().all(good)).then(|| text.to_owned())
    }
}
