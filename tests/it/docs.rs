//! The pages that people read: what they point to is there.

use std::path::{Path, PathBuf};

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_folder = |folder: &str| {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect::<Vec<_>>()
    };
    ["", "docs", "loadtest"].into_iter().flat_map(in_folder).collect()
}

/// Where a page's links and pictures lead, as they are written: `](here)`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("](").filter_map(|(at, opening)| {
        let rest = &text[at + opening.len()..];
        rest.split_once(')').map(|(target, _)| target)
    })
}

/// The name under which a heading can be linked to, as the usual hosts make it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|char| char.is_alphanumeric() || " -_".contains(*char))
        .collect::<String>();
    kept.replace(' ', "-")
}

/// What stands in backticks and has the form of a test's name or a room's: `fleet/keys`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let plain = |name: &&str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'/'));
    text.split('`').skip(1).step_by(2).filter(|name| name.contains('/') && !name.starts_with('/')).filter(plain)
}

#[test]
fn every_test_that_security_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let is_there = |name: &str| {
        ["", "src", "tests/it"].iter().any(|folder| {
            let path = root.join(folder).join(name);
            path.exists() || path.with_extension("rs").exists()
        })
    };
    assert!(names(&text).count() > 40, "the names were not read");
    assert_eq!(names(&text).filter(|name| !is_there(name)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let mut dead = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in targets(&text).filter(|target| !target.contains("://")) {
            seen += 1;
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            let leads = file.exists()
                && (fragment.is_empty()
                    || std::fs::read_to_string(&file)
                        .unwrap()
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == fragment));
            if !leads {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(seen > 20, "the pages have but {seen} links: they were not read");
    assert!(dead.is_empty(), "{dead:#?}");
}
