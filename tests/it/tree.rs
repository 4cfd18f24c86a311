//! Holds the house to its plan: which room may name which, where drivers may be named, and how a file looks.
//!
//! The sources are read as text, through a small lexer, so that a name in a comment or a string is no name. The checker
//! is itself tried on trees that are made up to break each rule.

use std::fmt::Write;
use std::path::Path;

/// What every room may name.
const GROUND: &[&str] = &["chance", "config", "id", "time"];

/// Each room, and which others it may name beside the ground: `server -> api -> {web, auth}`, `auth -> {token, store, mail}`,
/// never up. `app` is the context that is handed down: it holds what the rooms below `api` are made of, and they see it.
const ROOMS: &[(&str, &[&str])] = &[
    ("chance", &[]),
    ("config", &[]),
    ("id", &[]),
    ("time", &[]),
    ("store", &[]),
    ("token", &["store"]),
    ("mail", &["ops"]),
    ("web", &[]),
    ("start", &["auth", "app", "token", "store", "mail", "ops"]),
    ("program", &["cli", "start", "server", "api", "web", "auth", "app", "token", "store", "mail", "ops"]),
    ("auth", &["token", "store", "mail", "app", "ops"]),
    ("app", &["token", "store", "mail", "auth", "ops"]),
    ("ops", &["token", "store"]),
    ("api", &["web", "auth", "app", "ops"]),
    ("server", &["api", "web", "app", "ops"]),
    ("cli", &["server", "api", "auth", "token", "store", "mail", "app", "ops"]),
];

/// Libraries that only some rooms may name.
const OUTSIDE: &[(&[&str], &[&str])] = &[
    (&["fred", "rusqlite", "tokio_postgres", "deadpool_postgres"], &["store"]),
    (&["hyper", "hyper_util"], &["server", "web", "api", "ops"]),
];

/// The blocks in which the compiler takes our word, and how many there are: docs/security.md says why.
const UNSAFE: (&str, usize) = ("src/auth/password/memory.rs", 1);

/// Names that say nothing of what is inside.
const NO_NAMES: &[&str] = &["core", "common", "utils", "util", "helpers", "misc"];

const MOST_LINES: usize = 400;
const MOST_LINES_OF_TESTS: usize = 500;

#[test]
fn the_tree_is_as_it_was_planned() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz/src", "fuzz/targets"] {
        read(root, &root.join(folder), &mut files);
    }
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the sources were not found");
    let faults: String = files.iter().flat_map(check).fold(String::new(), |mut text, fault| {
        let _ = writeln!(text, "{fault}");
        text
    });
    assert!(faults.is_empty(), "\n{faults}");
}

struct File {
    path: String,
    text: String,
}

fn read(root: &Path, folder: &Path, into: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            into.push(File { path, text });
        }
    }
}

/// All that is wrong with a file, a line each.
fn check(file: &File) -> Vec<String> {
    let File { path, text } = file;
    let mut faults = Vec::new();
    let mut fault = |line: usize, what: String| faults.push(format!("{path}:{line}: {what}"));

    if !text.starts_with("//!") {
        fault(1, "does not open with `//!`: what it is for, and what it must not know".to_owned());
    }
    let of_tests = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/conformance/");
    let most = if of_tests { MOST_LINES_OF_TESTS } else { MOST_LINES };
    let lines = text.lines().count();
    if lines > most {
        fault(most + 1, format!("has {lines} lines, more than {most}"));
    }
    for name in path.trim_end_matches(".rs").split('/').filter(|name| NO_NAMES.contains(name)) {
        fault(1, format!("`{name}` says nothing of what is inside"));
    }

    let tokens = lex(text);
    let known = if path == UNSAFE.0 { UNSAFE.1 } else { 0 };
    for block in tokens.iter().filter(|token| token.text == "unsafe").skip(known) {
        fault(block.line, "`unsafe` that is not listed".to_owned());
    }
    let Some(module) = path.strip_prefix("src/") else { return faults };
    let module: Vec<&str> = module.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    for (line, name) in unwraps(&tokens).into_iter().filter(|_| !of_tests) {
        fault(line, format!("`{name}()` outside tests"));
    }
    let room = module[0];
    // The map and the command line stand above the rooms.
    if ["lib", "main"].contains(&room) {
        return faults;
    }
    let Some((_, may)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        fault(1, format!("`{room}` is no room of the plan: say in tests/it/tree.rs what it may name"));
        return faults;
    };
    for (line, named) in rooms_named(&tokens, module.len()) {
        let known = ROOMS.iter().any(|(name, _)| *name == named);
        if named == "*" || (known && named != room && !GROUND.contains(&named) && !may.contains(&named)) {
            fault(line, format!("`{room}` must not name `{named}`"));
        }
    }
    for (line, library) in libraries_named(&tokens) {
        for (_, rooms) in OUTSIDE.iter().filter(|(libraries, _)| libraries.contains(&library)) {
            if !rooms.contains(&room) {
                fault(line, format!("`{room}` must not name `{library}`"));
            }
        }
    }
    faults
}

/// A word, or one character of punctuation.
struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// The tokens of a source, without comments, strings, characters and lifetimes.
fn lex(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let rest = &text[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if bytes[at] == b'"' {
            string(rest)
        } else if bytes[at] == b'\'' {
            character_or_lifetime(rest)
        } else if word(&bytes[at]) {
            let length = rest.bytes().take_while(word).count();
            let after = &rest[length..];
            let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
            if ["r", "br", "cr"].contains(&&rest[..length]) && after[hashes..].starts_with('"') {
                let end = format!("\"{}", "#".repeat(hashes));
                let begin = length + hashes + 1;
                rest[begin..].find(&end).map_or(rest.len(), |found| begin + found + end.len())
            } else if !(["b", "c"].contains(&&rest[..length]) && after.starts_with('"')) {
                tokens.push(Token { text: &rest[..length], line });
                length
            } else {
                length
            }
        } else {
            if !bytes[at].is_ascii_whitespace() {
                tokens.push(Token { text: &rest[..1], line });
            }
            1
        };
        line += rest[..length].matches('\n').count();
        at += length;
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..text.len().min(at + 2)] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return at + 2,
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn character_or_lifetime(text: &str) -> usize {
    let mut inside = text[1..].chars();
    match inside.next() {
        Some('\\') => text[3..].find('\'').map_or(text.len(), |found| 3 + found + 1),
        Some(one) if inside.next() == Some('\'') => 2 + one.len_utf8(),
        _ => 1,
    }
}

/// Calls of `unwrap`, outside items that are built for tests only. (`expect` is clippy's to refuse: it takes a reason.)
fn unwraps<'a>(tokens: &[Token<'a>]) -> Vec<(usize, &'a str)> {
    const ONLY_IN_TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if spells(&tokens[at..], &ONLY_IN_TESTS) {
            let mut depth = 0;
            at += ONLY_IN_TESTS.len();
            while at < tokens.len() && !(depth == 0 && tokens[at].text == ";") {
                match tokens[at].text {
                    "{" => depth += 1,
                    "}" if depth == 1 => break,
                    "}" => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
        } else if spells(&tokens[at..], &[".", "unwrap", "("]) {
            found.push((tokens[at].line, tokens[at + 1].text));
        }
        at += 1;
    }
    found
}

fn spells(tokens: &[Token<'_>], texts: &[&str]) -> bool {
    tokens.len() >= texts.len() && tokens.iter().zip(texts).all(|(token, text)| token.text == *text)
}

/// The rooms that are named by a path from the root of the crate: `crate::room`, `crate::{room, …}`, or as many `super`
/// as it takes to get there from a module that deep. A star stands for the whole root under a name of its own.
fn rooms_named<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    // The braces that are open, and which of them are modules: `super` counts from those.
    let mut open: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text {
            "{" => open.push(at >= 2 && tokens[at - 2].text == "mod"),
            "}" => drop(open.pop()),
            "crate" | "super" => {
                // `$crate` is what a macro says for its own crate, and `self::super` is `super`.
                let begin = tokens[at].text;
                let mut supers = usize::from(begin == "super");
                at += 1;
                while spells(&tokens[at..], &[":", ":", "super"]) {
                    supers += 1;
                    at += 3;
                }
                let deep = depth + open.iter().filter(|module| **module).count();
                if begin == "crate" || supers >= deep {
                    at = first_names(tokens, at, &mut found);
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads what follows the root: `::room`, `::{room::…, room}`, or something that gives the root another name.
fn first_names<'a>(tokens: &[Token<'a>], mut at: usize, found: &mut Vec<(usize, &'a str)>) -> usize {
    if spells(&tokens[at..], &["as"]) {
        found.push((tokens[at].line, "*"));
        return at + 1;
    }
    if !spells(&tokens[at..], &[":", ":"]) {
        return at;
    }
    at += 2;
    if !spells(&tokens[at..], &["{"]) {
        found.extend(tokens.get(at).map(|token| (token.line, token.text)));
        return at + 1;
    }
    let mut depth = 0;
    while at < tokens.len() {
        match tokens[at].text {
            "{" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" => depth -= 1,
            _ => {}
        }
        // A name is the first of its path if it follows the outer brace or a comma beside it.
        if depth == 1 && ["{", ","].contains(&tokens[at].text) {
            match tokens.get(at + 1) {
                Some(token) if token.text == "self" => found.push((token.line, "*")),
                Some(token) if token.text != "}" => found.push((token.line, token.text)),
                _ => {}
            }
        }
        at += 1;
    }
    at
}

/// The first names of paths that could begin with a library: `fred::…`, `use fred;`, `use fred as …`.
fn libraries_named<'a>(tokens: &[Token<'a>]) -> Vec<(usize, &'a str)> {
    let named = |at: usize| {
        let inside = at >= 2 && spells(&tokens[at - 2..], &[":", ":"]) && at >= 3 && is_segment(tokens[at - 3].text);
        let path = spells(&tokens[at + 1..], &[":", ":"]);
        let imported = at >= 1 && ["use", "crate", "{", ","].contains(&tokens[at - 1].text);
        !inside && (path || imported && [";", "as", ",", "}"].iter().any(|end| spells(&tokens[at + 1..], &[end])))
    };
    (0..tokens.len())
        .filter(|at| is_name(tokens[*at].text) && named(*at))
        .map(|at| (tokens[at].line, tokens[at].text))
        .collect()
}

/// Whether a word before `::` is part of the path; after one that is not, the path begins at `::`, with a library.
fn is_segment(text: &str) -> bool {
    is_name(text) && !["use", "as", "dyn", "else", "for", "if", "impl", "in", "match", "mut", "return"].contains(&text)
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn faults(path: &str, text: &str) -> Vec<String> {
    check(&File { path: path.to_owned(), text: format!("//! A made-up file.\n{text}") })
}

#[test]
fn every_rule_can_be_broken() {
    let long = "\n".repeat(MOST_LINES);
    for (path, text, what) in [
        ("src/auth/sign_in.rs", "use crate::api::native;", "2: `auth` must not name `api`"),
        ("src/auth/sign_in.rs", "use crate::{\n    id::UserId,\n    server,\n};", "4: `auth` must not name `server`"),
        ("src/auth/sign_in.rs", "use crate::{store::{self, Error}, web::{Request}};", "`auth` must not name `web`"),
        ("src/auth/mod.rs", "use super::web;", "`auth` must not name `web`"),
        ("src/auth/sign_in.rs", "use super::super::web::Request;", "`auth` must not name `web`"),
        ("src/auth/mod.rs", "mod tests {\n    use super::super::web;\n}", "3: `auth` must not name `web`"),
        ("src/auth/mod.rs", "fn f() { if a { crate::server::run() } }", "`auth` must not name `server`"),
        ("src/auth/mod.rs", "use crate as root;", "`auth` must not name `*`"),
        ("src/auth/mod.rs", "use crate::{self as root};", "`auth` must not name `*`"),
        ("src/auth/mod.rs", "use crate::*;", "`auth` must not name `*`"),
        ("src/web/router.rs", "use crate::auth::verify;", "`web` must not name `auth`"),
        ("src/store/mod.rs", "use crate::token::Keyring;", "`store` must not name `token`"),
        ("src/api/native/mod.rs", "use crate::store::Accounts;", "`api` must not name `store`"),
        ("src/id.rs", "use crate::store;", "`id` must not name `store`"),
        ("src/auth/mod.rs", "use fred::prelude::*;", "`auth` must not name `fred`"),
        ("src/auth/mod.rs", "use ::fred::prelude::*;", "`auth` must not name `fred`"),
        ("src/auth/mod.rs", "use {bytes::Bytes, rusqlite as sql};", "`auth` must not name `rusqlite`"),
        ("src/auth/mod.rs", "fn f(c: tokio_postgres::Client) {}", "`auth` must not name `tokio_postgres`"),
        ("src/auth/mod.rs", "use hyper;", "`auth` must not name `hyper`"),
        ("src/api/mod.rs", "use deadpool_postgres::Pool;", "`api` must not name `deadpool_postgres`"),
        ("src/attic/mod.rs", "", "`attic` is no room of the plan"),
        ("src/auth/utils/mod.rs", "", "`utils` says nothing"),
        ("src/web/helpers.rs", "", "`helpers` says nothing"),
        ("tests/common/mod.rs", "", "`common` says nothing"),
        ("src/web/mod.rs", long.as_str(), "has 401 lines, more than 400"),
        ("src/web/mod.rs", "fn f() { g().unwrap() }", "`unwrap()` outside tests"),
        ("src/web/mod.rs", "fn f() { unsafe { g() } }", "2: `unsafe` that is not listed"),
        ("tests/it/links.rs", "unsafe impl Send for S {}", "`unsafe` that is not listed"),
        (UNSAFE.0, "fn f() { unsafe { g() } }\nfn g() { unsafe { h() } }", "3: `unsafe` that is not listed"),
        (
            "src/web/mod.rs",
            "#[cfg(test)]\nmod tests { fn f() { { g().unwrap() } } }\nfn f() { g().unwrap() }",
            "4: `unwrap()`",
        ),
    ] {
        let found = faults(path, text);
        assert!(found.len() == 1 && found[0].contains(what), "{path}: {text}\n{found:?}");
    }
    let headless = check(&File { path: "src/web/mod.rs".to_owned(), text: "// Not a heading.".to_owned() });
    assert!(headless.len() == 1 && headless[0].contains("does not open with `//!`"), "{headless:?}");
}

#[test]
fn what_only_looks_like_a_breach_is_none() {
    for (path, text) in [
        ("src/auth/mod.rs", "// use crate::api;\n/* crate::web /* crate::server */ fred:: */ use crate::store;"),
        (
            "src/auth/mod.rs",
            "const A: &str = \"crate::api \\\" fred::x\"; const B: &str = r#\"crate::web\" fred::x\"#;",
        ),
        (
            "src/auth/mod.rs",
            "fn f<'a>(c: &'a str) -> char { '\"' } const D: char = '\\''; use crate::{token, mail::Mail};",
        ),
        ("src/auth/mod.rs", "pub(in crate::auth) fn f() {} pub(crate) struct S; use super::store;"),
        ("src/auth/password/pool.rs", "use super::super::password; mod tests { use super::super::web; }"),
        (
            "src/auth/mod.rs",
            "mod hyper_text; struct S { hyper: bool, fred: u8 } fn f(s: S) { s.fred; store::fred::x() }",
        ),
        (
            "src/store/ephemeral/redis/mod.rs",
            "use fred::prelude::*; use crate::{id::{UserId, SessionId}, config::Redis};",
        ),
        ("src/web/mod.rs", "use hyper::body; #[cfg(test)]\nmod tests { fn f() { g().unwrap() } } fn unwrap() {}"),
        ("src/web/mod.rs", "#[cfg(test)]\nmod tests;\nfn f() { g().unwrap_or_default() }"),
        ("src/store/conformance/mod.rs", "fn f() { g().unwrap() }"),
        ("src/main.rs", "use signet::server; use rusqlite::Connection;"),
        (UNSAFE.0, "#[allow(unsafe_code)]\nfn f() { unsafe { g() } }"),
        ("tests/it/tree.rs", "fn f() { g().unwrap() }"),
    ] {
        assert_eq!(faults(path, text), [""; 0], "{path}: {text}");
    }
}
