//! The options of an import, checked, and which reader they choose.

use serde_json::{Map, Value};

use super::super::super::CliError;
use super::super::super::arguments::{ImportFrom, ImportUsers};
use super::auth0::HashFile;
use super::fields::Fields;
use super::firebase::HashConfig;
use super::incoming::{Incoming, Selection};
use super::reason::{Reason, ReasonCode};
use super::report::Named;
use super::{auth0, clerk, firebase, keycloak, supabase};
use crate::clock::Timestamp;
use crate::token::custom_claims::CustomClaims;

pub(super) struct Options {
    pub(super) from: ImportFrom,
    pub(super) selection: Selection,
    without_passwords: bool,
    hash_config: Option<HashConfig>,
    hashes: Option<HashFile>,
}

impl Options {
    pub(super) fn check(arguments: &ImportUsers) -> Result<Self, CliError> {
        let from = arguments.from;
        check_combination(arguments)?;
        for name in arguments.claims.iter().chain(&arguments.id_claim) {
            let claim = Map::from_iter([(name.clone(), Value::Bool(true))]);
            CustomClaims::new(&claim).map_err(|error| usage(format!("the claims {error}")))?;
        }
        let hash_config = match &arguments.hash_config {
            Some(path) => {
                let read = HashConfig::open(path).map_err(CliError::io(format!("reading {}", path.display())))?;
                Some(read.map_err(|why| usage(format!("{} cannot be used: {why}", path.display())))?)
            }
            None if from == ImportFrom::Firebase && !arguments.without_passwords => {
                return Err(CliError::Usage {
                    problem: "without the parameters of the password hashes, no password can be checked".to_owned(),
                    remedy: "add --hash-config FILE, or --without-passwords if users shall set new ones".to_owned(),
                });
            }
            None => None,
        };
        let hashes = match &arguments.passwords {
            Some(path) => {
                let hashes = HashFile::open(path).map_err(CliError::io(format!("reading {}", path.display())))?;
                if hashes.is_empty() {
                    return Err(usage(format!("{} has no password hashes of Auth0", path.display())));
                }
                Some(hashes)
            }
            None => None,
        };
        let selection = Selection {
            claims: arguments.claims.clone(),
            roles: arguments.roles.clone(),
            id_claim: arguments.id_claim.clone(),
        };
        Ok(Self { from, selection, without_passwords: arguments.without_passwords, hash_config, hashes })
    }

    /// The name of the system, of which the ids of users are derived. It must never change.
    pub(super) fn system(&self) -> &'static str {
        match self.from {
            ImportFrom::Signet => "signet",
            ImportFrom::Auth0 => "auth0",
            ImportFrom::Firebase => "firebase",
            ImportFrom::Supabase => "supabase",
            ImportFrom::Keycloak => "keycloak",
            ImportFrom::Clerk => "clerk",
        }
    }

    /// The id and the address of a record, also of one that cannot be imported.
    pub(super) fn name(&self, fields: &Fields) -> Named {
        let text = |name| fields.text(name).ok().flatten().map(str::to_owned);
        let id = match self.from {
            ImportFrom::Auth0 => auth0::id(fields).ok().flatten(),
            ImportFrom::Firebase => text("localId"),
            ImportFrom::Signet | ImportFrom::Supabase | ImportFrom::Keycloak | ImportFrom::Clerk => text("id"),
        };
        let email = if self.from == ImportFrom::Clerk { text("primary_email_address") } else { text("email") };
        Named { id, email }
    }

    /// Converts a record. The inner error says why it is no user.
    pub(super) fn convert(&mut self, fields: &Fields, now: Timestamp) -> Result<Result<Incoming, Reason>, CliError> {
        let selection = &self.selection;
        let mut incoming = match self.from {
            ImportFrom::Signet => Err(Reason::invalid("not a record of Signet")),
            ImportFrom::Auth0 => {
                let read = auth0::read(fields, selection, self.hashes.as_mut());
                let user = read.map_err(CliError::io("reading the password hashes"))?;
                if let Ok(user) = &user
                    && self.hashes.is_none()
                    && !self.without_passwords
                    && auth0::lacks_hash(user)
                {
                    return Err(CliError::Usage {
                        problem: "Auth0 exports users without their passwords".to_owned(),
                        remedy: "add --passwords FILE, or --without-passwords if users shall set new ones".to_owned(),
                    });
                }
                user
            }
            ImportFrom::Firebase => firebase::read(fields, selection, self.hash_config.as_ref()),
            ImportFrom::Supabase => supabase::read(fields, selection, now),
            ImportFrom::Keycloak => keycloak::read(fields, selection),
            ImportFrom::Clerk => clerk::read(fields),
        };
        if let Ok(user) = &mut incoming
            && self.without_passwords
            && user.password_hash.take().is_some()
        {
            user.add_missing(ReasonCode::Password, "--without-passwords");
        }
        Ok(incoming)
    }
}

/// Refuses options that the system has no use for, because they were meant for something.
fn check_combination(arguments: &ImportUsers) -> Result<(), CliError> {
    use ImportFrom::{Auth0, Clerk, Firebase, Keycloak, Signet};

    let from = arguments.from;
    for (given, option, possible) in [
        (arguments.hash_config.is_some(), "--hash-config", from == Firebase),
        (arguments.passwords.is_some(), "--passwords", from == Auth0),
        (!arguments.roles.is_empty(), "--role", from == Keycloak),
        (!arguments.claims.is_empty(), "--claim", from != Signet && from != Clerk),
        (arguments.id_claim.is_some(), "--id-claim", from != Signet),
        (arguments.without_passwords, "--without-passwords", from != Signet),
    ] {
        if given && !possible {
            return Err(usage(format!("{option} is not possible with this --from")));
        }
    }
    Ok(())
}

fn usage(problem: String) -> CliError {
    CliError::Usage { problem, remedy: "see `signet users import --help`; nothing was imported".to_owned() }
}
