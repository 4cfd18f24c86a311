//! The settings and calls that the documentation names: each exists.

use std::collections::BTreeSet;

use signet::config::Config;

use super::{code, current_pages};

const CONFIG: &str = include_str!("../../../config.toml");
const AUDIT: &str = include_str!("../../../docs/audit.md");

/// Paths that are no calls: pages, and those of the management listener.
const PAGES: &[&str] = &["/", "/docs", "/account", "/console", "/openapi.json", "/healthz", "/readyz", "/metrics"];

/// The settings and sections of config.toml, also those that are commented out.
fn settings() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut settings, mut sections, mut section) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for line in CONFIG.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.replace("audiences.orders", "audiences.<name>");
            sections.extend([section.clone(), name.to_owned()]);
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            let dot = if section.is_empty() { "" } else { "." };
            settings.insert(format!("{section}{dot}{key}"));
        }
    }
    (settings, sections)
}

#[test]
fn settings_in_the_documentation_exist() {
    let (settings, sections) = settings();
    assert!(settings.len() > 100 && settings.contains("api.codes.backup_codes"), "{settings:?}");
    // A test compares this list with the code.
    let events: BTreeSet<_> = AUDIT.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let is_setting = |name: &str| {
        let with_wildcard = |known: &String| {
            let (known, name): (Vec<_>, Vec<_>) = (known.split('.').collect(), name.split('.').collect());
            known.len() == name.len() && known.iter().zip(&name).all(|(known, part)| known == part || *part == "*")
        };
        sections.contains(name) || settings.iter().any(with_wildcard)
    };
    let variables: BTreeSet<_> =
        settings.iter().map(|name| format!("SIGNET_{}", name.replace('.', "__").to_uppercase())).collect();
    let (mut count, mut unknown) = (0, Vec::new());
    for (page, text) in current_pages() {
        for code in code(&text).iter().filter(|code| code.language.is_none()) {
            let name = code.text.split(" = ").next().unwrap().trim_matches(['[', ']']);
            let parts: Vec<_> = name.split('.').collect();
            let is_word = |part: &&str| {
                part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') || *part == "*" || *part == "<name>"
            };
            let named = parts.len() > 1 && parts.iter().all(is_word) && !parts.contains(&"");
            let in_section = sections.iter().any(|section| section.split('.').next() == Some(parts[0]));
            let is_file = ["md", "rs", "js", "mjs", "toml", "json", "jsonl"].contains(parts.last().unwrap());
            if named && in_section && !is_file && !events.contains(name) {
                count += 1;
                if !is_setting(name) {
                    unknown.push(format!("{}: {name}", page.display()));
                }
            }
            if name.starts_with("SIGNET_")
                && name.contains("__")
                && !name.contains(['<', '='])
                && !variables.contains(name)
            {
                unknown.push(format!("{}: {name}", page.display()));
            }
        }
    }
    assert!(count > 50, "only {count} settings were found");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// A path without a slash at its end and without the names of parameters.
fn shape(path: &str) -> Vec<String> {
    let path = path.split(['?', '#']).next().unwrap();
    let parts = path.split('/').filter(|part| !part.is_empty());
    parts.map(|part| if part.starts_with('{') { "{}".to_owned() } else { part.to_owned() }).collect()
}

#[test]
fn calls_in_the_documentation_exist() {
    let document = signet::api::document(&Config::default());
    let paths = document["paths"].as_object().unwrap();
    let exists = |method: Option<&str>, path: &str| {
        PAGES.contains(&path.trim_end_matches('/'))
            || PAGES.contains(&path)
            || paths.iter().any(|(known, operations)| {
                let has_method = method.is_none_or(|method| operations.get(method.to_lowercase()).is_some());
                let (known, named) = (shape(known), shape(path));
                let same = |(known, part): (&String, &String)| known == part || known == "{}" && !part.is_empty();
                has_method && known.len() == named.len() && known.iter().zip(&named).all(same)
            })
    };
    let (mut count, mut unknown) = (0, Vec::new());
    for (page, text) in current_pages() {
        let mut calls = Vec::new();
        for code in code(&text) {
            match code.language.as_deref() {
                None => {
                    let call = code.text.split_once(' ');
                    calls.extend(
                        call.filter(|(method, path)| {
                            ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(method)
                                && path.starts_with('/')
                                && !path.contains([' ', '…'])
                        })
                        .map(|(method, path)| (Some(method.to_owned()), path.to_owned())),
                    );
                }
                Some("sh") => {
                    for base in ["http://127.0.0.1:8000/", "https://id.example.com/"] {
                        let rest = code.text.split(base).skip(1);
                        calls.extend(rest.map(|rest| {
                            let path = rest.split([' ', '\'', '"', '\n', ')', ';']).next().unwrap();
                            (None, format!("/{path}"))
                        }));
                    }
                }
                Some(_) => {}
            }
        }
        for (method, path) in calls {
            count += 1;
            if !exists(method.as_deref(), &path) {
                unknown.push(format!("{}: {} {path}", page.display(), method.unwrap_or_default()));
            }
        }
    }
    assert!(count > 50, "only {count} calls were found");
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// A path may be abbreviated to its last segments, after `…` or on its own.
#[test]
fn page_of_the_native_api_has_every_call() {
    const PAGE: &str = include_str!("../../../docs/build/native.md");
    let document = signet::api::document(&Config::default());
    let mut missing = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let is_native = operations.as_object().unwrap().values().any(|operation| {
            let id = operation["operationId"].as_str().unwrap_or_default();
            id.starts_with("native_") && operation["deprecated"] != true
        });
        let names = |text: String| PAGE.contains(&text);
        let mut ends = path.match_indices('/').map(|(at, _)| &path[at..]);
        let is_named =
            names(format!(" {path}`")) || ends.any(|end| names(format!("…{end}`")) || names(format!("`{end}`")));
        if is_native && !is_named {
            missing.push(path);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// The status and the code of each error in the sources of the native API.
fn native_errors() -> BTreeSet<(String, String)> {
    let source = include_str!("../../../src/api/native/problem.rs");
    let calls = source.match_indices("problem(").filter_map(|(at, opening)| {
        let (status, rest) = source[at + opening.len()..].trim_start().split_once(", \"")?;
        let code = rest.split('"').next()?;
        status.bytes().all(|byte| byte.is_ascii_digit()).then(|| (status.to_owned(), code.to_owned()))
    });
    calls.chain([("400".to_owned(), "invalid_fields".to_owned())]).collect()
}

#[test]
fn errors_page_has_every_error_of_the_native_api() {
    let page = include_str!("../../../docs/build/errors.md");
    let rows = page.lines().filter_map(|row| row.strip_prefix("| ")?.split_once(" | "));
    let mut documented = BTreeSet::new();
    for (statuses, row) in rows {
        let codes: Vec<_> = row.split(" | ").next().unwrap().split('`').skip(1).step_by(2).collect();
        let statuses: Vec<_> = statuses.split(", ").collect();
        // A row with several statuses gives one for each code.
        for (index, code) in codes.iter().enumerate() {
            let status = if statuses.len() == 1 { statuses[0] } else { statuses[index] };
            documented.insert((status.to_owned(), (*code).to_owned()));
        }
    }
    documented.retain(|(status, _)| status != "status");
    assert_eq!(documented, native_errors());
}
