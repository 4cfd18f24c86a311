//! Commands create no store and no keys where others are expected, and only files that the service can use.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use super::*;

/// A user that is not root and that no other test needs.
const SERVICE: (u32, u32) = (65_534, 65_534);

/// The owners of a folder and of everything below it, each once.
fn owners(folder: &Path) -> Vec<(u32, u32)> {
    let mut owners = vec![folder.metadata().map(|found| (found.uid(), found.gid())).unwrap()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let of_path = path.metadata().unwrap();
        owners.extend(if path.is_dir() { self::owners(&path) } else { vec![(of_path.uid(), of_path.gid())] });
    }
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// As root in a folder of the service's user. As any other user it cannot fail, because that user owns whatever it
/// creates. A test of `src/files.rs` has the rule itself, for all users.
#[test]
fn files_of_a_command_belong_to_the_owner_of_data_dir() {
    let plan = Plan::embedded();
    let data = plan.dir().join("data");
    fs::create_dir(&data).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&data, Some(SERVICE.0), Some(SERVICE.1)).unwrap();
    }
    let owner = owners(&data);
    plan.create_user("a@example.org", PASSWORD, &[]);
    plan.json(&["keys", "rotate"], "");
    plan.json(&["mail", "test", "a@example.org"], "");
    for name in ["signet.db", "secret", "keyring.sealed", "outbox"] {
        assert!(data.join(name).exists(), "{name}");
    }
    assert_eq!(owners(&data), owner);

    let saved = plan.dir().join("saved");
    plan.json(&["backup", saved.to_str().unwrap()], "");
    plan.json(&["restore", "--force", saved.to_str().unwrap()], "");
    assert_eq!(owners(&data), owner);

    // A server too. While it runs, a command shares its files.
    let server = plan.start();
    assert!(data.join("signet.db-wal").exists());
    // It listens before its first report is complete, which gets its name then.
    let is_report = |file: std::io::Result<fs::DirEntry>| !file.unwrap().file_name().to_string_lossy().starts_with('.');
    crate::support::wait_until("the server has reported", std::time::Duration::from_secs(60), || {
        fs::read_dir(data.join("nodes")).is_ok_and(|mut files| files.any(is_report))
    });
    plan.json(&["users", "create", "--email", "b@example.org"], "");
    assert_eq!(owners(&data), owner);
    drop(server);
}

#[test]
fn a_command_in_the_wrong_folder_says_which_it_is() {
    let plan = Plan::embedded().set("SIGNET_DATA_DIR", "elsewhere");
    let path = plan.dir().canonicalize().unwrap().join("elsewhere/signet.db");
    for words in [&["sessions", "end", "--all"][..], &["keys", "list"]] {
        let printed = refused(&plan, words, 1);
        assert!(printed.contains(&format!("{} does not exist", path.display())), "{printed}");
        assert!(printed.contains("SIGNET_DATA_DIR") && printed.contains("--config"), "{printed}");
    }
    assert_eq!(fs::read_dir(plan.dir()).unwrap().count(), 0, "nothing was created");
}

/// The keys of a command would replace those of a fleet whose Redis was emptied.
#[test]
fn commands_create_no_keyring_in_an_emptied_redis() {
    let (redis, postgres) = (redis::Server::start(), postgres::Database::create());
    let fleet = Plan::on(&redis, &postgres).with_patient_stores();
    drop(fleet.start());
    let keys = fleet.json(&["keys", "list"], "");
    let kid = keys[0]["kid"].as_str().unwrap();
    let pem = done(&fleet, &["keys", "export", kid], "");
    assert_eq!(redis.cli(&["FLUSHALL"]), "OK");

    let has_keys = || redis.cli(&["EXISTS", "signet:{fleet}:ring"]) == "1";
    let elsewhere = fleet.another_node();
    for words in [&["keys", "list"][..], &["keys", "rotate"], &["keys", "revoke", kid], &["verify", "token"]] {
        let printed = refused(&elsewhere, words, 1);
        assert!(printed.contains("there is no keyring in the store") && printed.contains("start a node"), "{printed}");
    }
    // Commands that need no keys do their work.
    elsewhere.create_user("a@example.org", PASSWORD, &[]);
    elsewhere.json(&["sessions", "end", "--all"], "");
    assert!(!has_keys() && !elsewhere.dir().join("data/keyring.sealed").exists());

    // The mirror brings the keys back, and so does an import, as the next key of a new keyring.
    assert_eq!(fleet.json(&["keys", "list"], "")[0]["kid"], kid);
    assert!(has_keys());
    assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    assert_eq!(elsewhere.json(&["keys", "import", "-"], &pem)["kid"], kid);
    assert!(has_keys());
}
