//! Checks the structure of the sources: which module may import which, that imports form no circle, where drivers and
//! unsafe code may be named, and how a file looks.
//!
//! The sources are parsed with `syn`, so a name in a comment or a string is not a name. The rules are tested on made-up
//! files that break each of them.

mod sources;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::sources::sources;
use self::sources::{Source, parse, read_sources};

/// Modules that every other module may import. They import only each other, except as listed in [`ALLOWED`].
const GROUND: &[&str] = &["clock", "config", "device", "encoding", "files", "id", "priority", "rng", "telemetry"];

/// For each module the modules it may import besides the ground. Every permission is in use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("api", &["auth", "http"]),
    ("auth", &["mail", "store", "token"]),
    ("cli", &["api", "auth", "node", "store", "token"]),
    ("http", &[]),
    ("mail", &[]),
    ("node", &["api", "auth", "http", "mail", "server", "store", "token"]),
    ("server", &["http"]),
    ("store", &[]),
    // The metrics implement the observer that the drivers report to.
    ("telemetry", &["store"]),
    ("token", &[]),
];

/// Crates that only some modules may name.
const RESTRICTED_CRATES: &[(&[&str], &[&str])] = &[
    (&["fred", "rusqlite", "tokio_postgres", "deadpool_postgres"], &["store"]),
    (&["hyper", "hyper_util"], &["server", "http"]),
    // The rest of the server uses it through `token`, which adds the private keys and the types of ids, and through
    // `clock`, whose points in time are those of tokens.
    (&["signet_verify"], &["clock", "token"]),
    (&["signet_load"], &["cli"]),
];

/// The modules of `signet-verify` that may do I/O, and the crates for it. The rest only computes.
const VERIFY: &str = "crates/verify/src/";
const IO_MODULES_OF_VERIFY: &[&str] = &["follow/", "tower/"];
const IO_CRATES: &[&str] =
    &["axum_core", "http", "hyper", "hyper_rustls", "hyper_util", "rustls", "tokio", "tower_service"];

/// Files with unsafe blocks, and how many: docs/security.md gives the reason for each.
const UNSAFE: &[(&str, usize)] = &[
    ("src/auth/passwords/memory.rs", 1),
    ("src/node/program_memory.rs", 1),
    ("src/priority/mod.rs", 2),
    ("crates/argon2/src/kernel/avx2.rs", 3),
    ("crates/argon2/src/kernel/avx512.rs", 3),
    ("crates/argon2/src/kernel/memory.rs", 1),
    ("crates/ed25519/src/ifma/load.rs", 2),
    ("crates/ed25519/src/ifma/mod.rs", 1),
    ("crates/ed25519/src/ifma/tests.rs", 1),
    ("fuzz/targets/cost.rs", 3),
];

/// Names that do not say what is inside.
const MEANINGLESS_NAMES: &[&str] = &["core", "common", "utils", "util", "helpers", "misc"];

const MAX_LINES: usize = 400;

#[test]
fn sources_follow_the_design() {
    let sources = read_sources();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");
    let problems = check(&sources);
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_permission_to_import_is_in_use() {
    let used = module_edges(&read_sources());
    for (from, targets) in ALLOWED {
        for to in *targets {
            assert!(used.contains(&((*from).to_owned(), (*to).to_owned())), "`{from}` does not import `{to}`");
        }
    }
}

/// Every violation, one line each.
fn check(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources {
        let path = &source.path;
        if !source.opens_with_docs {
            problems.push(format!("{path}: does not open with `//!`: what it is for, and what it must not know"));
        }
        if source.lines > MAX_LINES {
            problems.push(format!("{path}: has {} lines, more than {MAX_LINES}", source.lines));
        }
        for name in path.trim_end_matches(".rs").split('/').filter(|name| MEANINGLESS_NAMES.contains(name)) {
            problems.push(format!("{path}: `{name}` does not say what is inside"));
        }
        let listed = UNSAFE.iter().find(|(file, _)| file == path).map_or(0, |(_, count)| *count);
        if source.unsafe_blocks > listed {
            problems.push(format!("{path}: {} unsafe blocks, {listed} are listed", source.unsafe_blocks));
        }
        if let Some(file) = path.strip_prefix(VERIFY)
            && !IO_MODULES_OF_VERIFY.iter().any(|module| file.starts_with(module))
        {
            for name in IO_CRATES.iter().filter(|name| source.crates.contains(**name)) {
                problems.push(format!("{path}: must not name the crate `{name}`, because it only computes"));
            }
        }
        let Some(top) = source.module.as_ref().and_then(|module| module.first()) else { continue };
        for (crates, modules) in RESTRICTED_CRATES {
            for name in crates.iter().filter(|name| source.crates.contains(**name) && !modules.contains(&top.as_str()))
            {
                problems.push(format!("{path}: `{top}` must not name the crate `{name}`"));
            }
        }
    }
    for (from, to) in module_edges(sources) {
        let allowed = ALLOWED.iter().find(|(name, _)| *name == from).map(|(_, targets)| *targets);
        let is_ground = GROUND.contains(&from.as_str());
        if allowed.is_none() && !is_ground {
            problems
                .push(format!("`{from}` is not in the table of modules: say in tests/it/tree.rs what it may import"));
        } else if !(GROUND.contains(&to.as_str()) || allowed.is_some_and(|targets| targets.contains(&to.as_str()))) {
            problems.push(format!("`{from}` must not import `{to}`"));
        }
    }
    problems.extend(circles(&file_edges(sources)).into_iter().map(|circle| format!("circle of imports: {circle}")));
    problems.extend(circles(&folder_edges(sources)).into_iter().map(|circle| format!("circle of folders: {circle}")));
    problems
}

type Edges = BTreeSet<(String, String)>;

/// Imports between files of the library. A folder's `mod.rs` and the files below it are one unit: the one declares and
/// re-exports the others.
fn file_edges(sources: &[Source]) -> Edges {
    let files: BTreeMap<&[String], &str> = sources
        .iter()
        .filter_map(|source| Some((source.module.as_deref()?, source.path.as_str())))
        .filter(|(module, path)| !module.is_empty() && !path.ends_with("/tests.rs"))
        .collect();
    let mut edges = Edges::new();
    for source in sources {
        let Some(from) = source.module.as_deref().filter(|module| files.contains_key(module)) else { continue };
        for import in &source.imports {
            let target = (1..=import.len()).rev().find_map(|length| files.get_key_value(&import[..length]));
            if let Some((to, path)) = target
                && !to.starts_with(from)
                && !from.starts_with(to)
            {
                edges.insert((source.path.clone(), (*path).to_owned()));
            }
        }
    }
    edges
}

/// Imports between the top modules of the library.
fn module_edges(sources: &[Source]) -> Edges {
    let tops: BTreeSet<&str> =
        sources.iter().filter_map(|source| source.module.as_ref()?.first()).map(String::as_str).collect();
    let mut edges = Edges::new();
    for source in sources {
        let Some(from) = source.module.as_ref().and_then(|module| module.first()) else { continue };
        let named = source.imports.iter().filter_map(|import| import.first());
        for to in named.filter(|to| *to != from && tops.contains(to.as_str())) {
            edges.insert((from.clone(), to.clone()));
        }
    }
    edges
}

/// Imports between neighbouring folders, at every depth: a file counts as part of each folder that it is in.
fn folder_edges(sources: &[Source]) -> Edges {
    let mut edges = Edges::new();
    for (from, to) in file_edges(sources) {
        let (from, to): (Vec<_>, Vec<_>) = (from.split('/').collect(), to.split('/').collect());
        let same = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
        if from.len() > same + 1 && to.len() > same + 1 {
            edges.insert((from[..=same].join("/"), to[..=same].join("/")));
        }
    }
    edges
}

/// Each circle once, as a path back to its beginning.
fn circles(edges: &Edges) -> Vec<String> {
    let nodes: BTreeSet<&String> = edges.iter().flat_map(|(from, to)| [from, to]).collect();
    let mut next: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().push(to);
    }
    let mut found = Vec::new();
    let mut reported: BTreeSet<&String> = BTreeSet::new();
    for start in nodes {
        // Breadth first, so that the circle shown is a shortest one.
        let (mut queue, mut came_from) = (std::collections::VecDeque::from([start]), BTreeMap::new());
        while let Some(node) = queue.pop_front() {
            for to in next.get(node).into_iter().flatten().copied() {
                if to == start {
                    let mut path = vec![node];
                    while let Some(before) = came_from.get(path[path.len() - 1]) {
                        path.push(*before);
                    }
                    path.reverse();
                    if path.iter().all(|node| !reported.contains(node)) {
                        let shown: Vec<&str> = path.iter().map(|node| node.as_str()).chain([start.as_str()]).collect();
                        found.push(shown.join(" -> "));
                        reported.extend(path.iter().copied());
                    }
                    queue.clear();
                    break;
                }
                if to != start && !came_from.contains_key(to) {
                    came_from.insert(to, node);
                    queue.push_back(to);
                }
            }
        }
    }
    found
}

fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    check(&files.iter().map(|(path, text)| parse(path, &format!("//! Made up.\n{text}"))).collect::<Vec<_>>())
}

#[test]
fn every_rule_reports_a_file_that_breaks_it() {
    let api: (&str, &str) = ("src/api/mod.rs", "");
    let long = "\n".repeat(MAX_LINES);
    for (file, expected) in [
        (("src/auth/a.rs", "use crate::api::native;"), "`auth` must not import `api`"),
        (("src/auth/a.rs", "use crate::{id::UserId, api};"), "`auth` must not import `api`"),
        (("src/auth/mod.rs", "use super::api;"), "`auth` must not import `api`"),
        (("src/auth/a.rs", "use super::super::api::Request;"), "`auth` must not import `api`"),
        (("src/auth/mod.rs", "mod tests {\n    use super::super::api;\n}"), "`auth` must not import `api`"),
        (("src/auth/mod.rs", "fn f() { if a { crate::api::run() } }"), "`auth` must not import `api`"),
        (("src/auth/mod.rs", "fn f() { log!(1, crate::api::run()) }"), "`auth` must not import `api`"),
        (("src/auth/mod.rs", "use fred::prelude::*;"), "`auth` must not name the crate `fred`"),
        (("src/auth/mod.rs", "use {bytes::Bytes, rusqlite as sql};"), "`auth` must not name the crate `rusqlite`"),
        (("src/auth/mod.rs", "fn f(c: tokio_postgres::Client) {}"), "`auth` must not name the crate `tokio_postgres`"),
        (("src/auth/mod.rs", "use hyper;"), "`auth` must not name the crate `hyper`"),
        (("src/auth/mod.rs", "use signet_verify::Claims;"), "`auth` must not name the crate `signet_verify`"),
        (("crates/verify/src/keys.rs", "use tokio::sync::Mutex;"), "must not name the crate `tokio`"),
        (("src/attic/mod.rs", "use crate::api;"), "`attic` is not in the table of modules"),
        (("src/auth/utils/mod.rs", ""), "`utils` does not say what is inside"),
        (("tests/common/mod.rs", ""), "`common` does not say what is inside"),
        (("src/http/mod.rs", long.as_str()), "has 401 lines, more than 400"),
        (("src/http/mod.rs", "fn f() { unsafe { g() } }"), "1 unsafe blocks, 0 are listed"),
        (("tests/it/links.rs", "unsafe impl Send for S {}"), "1 unsafe blocks, 0 are listed"),
        ((UNSAFE[0].0, "fn f() { unsafe { g() } }\nfn g() { unsafe { h() } }"), "2 unsafe blocks, 1 are listed"),
    ] {
        let found = problems_of(&[file, api]);
        assert!(found.len() == 1 && found[0].contains(expected), "{file:?}\n{found:?}");
    }
    let found = check(&[parse("src/http/mod.rs", "// Not a heading.")]);
    assert!(found.len() == 1 && found[0].contains("does not open with `//!`"), "{found:?}");
}

#[test]
fn a_circle_of_files_or_folders_is_reported() {
    let files = [("src/http/a.rs", "use super::b::B;"), ("src/http/b.rs", "use crate::http::a::A;")];
    let found = problems_of(&files);
    assert_eq!(found, ["circle of imports: src/http/a.rs -> src/http/b.rs -> src/http/a.rs"]);
    let files = [
        ("src/auth/one/a.rs", "use crate::auth::two::b::B;"),
        ("src/auth/one/c.rs", ""),
        ("src/auth/two/b.rs", ""),
        ("src/auth/two/d.rs", "use crate::auth::one::c::C;"),
    ];
    assert_eq!(problems_of(&files), ["circle of folders: src/auth/one -> src/auth/two -> src/auth/one"]);
}

#[test]
fn files_that_follow_the_rules_pass() {
    for file in [
        ("src/auth/mod.rs", "// use crate::api;\n/* crate::http fred:: */ use crate::store;"),
        (
            "src/auth/mod.rs",
            "const A: &str = \"crate::api \\\" fred::x\"; const B: &str = r#\"crate::http\" fred::x\"#;",
        ),
        ("src/auth/mod.rs", "pub(in crate::auth) fn f() {} pub(crate) struct S; use super::store;"),
        ("src/auth/mod.rs", "mod hyper_text; struct S { hyper: bool } fn f(s: S) { s.fred; store::fred::x() }"),
        ("src/store/ephemeral/mod.rs", "use fred::prelude::*; use crate::{id::{UserId, SessionId}, config::Redis};"),
        ("src/main.rs", "use signet::server; use rusqlite::Connection;"),
        (UNSAFE[0].0, "#[allow(unsafe_code)]\nfn f() { unsafe { g() } }"),
    ] {
        assert_eq!(problems_of(&[file, ("src/store/mod.rs", "")]), [""; 0], "{file:?}");
    }
}
