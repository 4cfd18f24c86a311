//! The store and the signing keys that each command needs, and whether it may create them. Otherwise a command in the
//! wrong folder would succeed on an empty store that it has just created, and a command with an emptied Redis would
//! succeed with new signing keys.

use super::arguments::{Command, Keys, Users};
use crate::node::build::{KeyringUse, Needs};

pub(super) fn needs(command: &Command) -> Needs {
    let (new_file, keyring) = match command {
        // Before the first start of a server.
        Command::Users { command: Users::Create(_) | Users::Import(_) } => (true, KeyringUse::None),
        Command::Keys { command: Keys::Import { .. } } => (true, KeyringUse::Create),
        // It signs tokens, which a server must accept.
        Command::Seed(options) if options.out.is_some() => (true, KeyringUse::Existing),
        Command::Keys { .. } | Command::Verify { .. } => (false, KeyringUse::Existing),
        Command::Users { .. }
        | Command::ApiKeys { .. }
        | Command::Sessions { .. }
        | Command::Audit(_)
        | Command::Seed(_)
        | Command::Mail { .. } => (false, KeyringUse::None),
        // These open no stores, or do so in their own way.
        Command::Serve
        | Command::Demo(_)
        | Command::Bench(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Migrate
        | Command::Check
        | Command::Health { .. }
        | Command::Config { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => (false, KeyringUse::None),
    };
    Needs { new_file, keyring }
}
