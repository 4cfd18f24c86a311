//! The documentation: everything that it links to exists.

use std::path::{Path, PathBuf};

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_folder = |folder: &str| {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect::<Vec<_>>()
    };
    ["", "docs", "docs/verify", "loadtest"].into_iter().flat_map(in_folder).collect()
}

/// The targets of the links and images of a page: `](target)`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("](").filter_map(|(at, opening)| {
        let rest = &text[at + opening.len()..];
        rest.split_once(')').map(|(target, _)| target)
    })
}

/// The anchor of a heading, as GitHub and other hosts derive it.
fn anchor(heading: &str) -> String {
    let slug = heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|char| char.is_alphanumeric() || " -_".contains(*char))
        .collect::<String>();
    slug.replace(' ', "-")
}

/// Texts in backticks that have the form of the path of a test or a module: `fleet/keys`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let plain = |name: &&str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'/'));
    text.split('`').skip(1).step_by(2).filter(|name| name.contains('/') && !name.starts_with('/')).filter(plain)
}

#[test]
fn tests_named_in_security_md_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let exists = |name: &str| {
        ["", "src", "tests/it"].iter().any(|folder| {
            let path = root.join(folder).join(name);
            path.exists() || ["rs", "js"].iter().any(|extension| path.with_extension(extension).exists())
        })
    };
    assert!(names(&text).count() > 40, "too few names were found");
    assert_eq!(names(&text).filter(|name| !exists(name)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn links_in_the_documentation_resolve() {
    let mut dead = Vec::new();
    let mut link_count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in targets(&text).filter(|target| !target.contains("://")) {
            link_count += 1;
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            let resolves = file.exists()
                && (fragment.is_empty()
                    || std::fs::read_to_string(&file)
                        .unwrap()
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == fragment));
            if !resolves {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(link_count > 20, "only {link_count} links were found");
    assert!(dead.is_empty(), "{dead:#?}");
}
