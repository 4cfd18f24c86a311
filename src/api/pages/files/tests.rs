//! The files are those of the folder, the vendored ones are unchanged, and a page is small.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::api::openapi::ReferenceParts;
use crate::encoding::hex;

/// The largest size of everything that a page loads, uncompressed.
const MAX_PAGE_BYTES: usize = 120_000;

/// SHA-256 of the vendored modules, as published (see `vendor/README.md`).
const VENDORED: [(&str, &str); 5] = [
    ("vendor/hooks.js", "e862ab2973aa6455eaa0f77c5d832d2157d6be59a17c8ba546550a575b58c6b4"),
    ("vendor/htm.js", "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4"),
    ("vendor/preact.js", "bdcbd9abdf2c77c5c45326eab42191e949222d479d0d5f69467387a77040cb55"),
    ("vendor/signals-core.js", "0c80bc127d72ecb1496ef116ffddae75079829a3af01e7f417c8e5a6474c68b6"),
    ("vendor/signals.js", "ba8177597f45acaca4d05dcf3966b527d0a8264cfa2b0a87ace92dff324217f8"),
];

/// Folders and files that belong to the pages but are not served from below `/pages/{version}/`.
const OTHERS: [&str; 1] = ["node_modules"];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/pages")
}

/// The scripts and styles in the subfolders, by their paths.
fn files_on_disk(below: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(below).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() {
            if !OTHERS.contains(&name.as_str()) {
                files_on_disk(&path, found);
            }
        } else if path.parent() != Some(&folder()) && [".js", ".css"].iter().any(|ending| name.ends_with(ending)) {
            found.insert(path.strip_prefix(folder()).unwrap().to_string_lossy().into_owned());
        }
    }
}

#[test]
fn every_file_of_the_folder_is_served() {
    let mut on_disk = BTreeSet::new();
    files_on_disk(&folder(), &mut on_disk);
    assert_eq!(FILES.iter().map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>(), on_disk);
}

#[test]
fn vendored_modules_are_unchanged() {
    let vendored = FILES.iter().filter(|(path, _)| path.starts_with("vendor/"));
    let hashes = vendored.map(|(path, text)| (*path, hex(&crate::encoding::sha256(text.as_bytes()))));
    let hashes = hashes.collect::<Vec<_>>();
    let expected = VENDORED.map(|(path, hash)| (path, hash.to_owned()));
    assert_eq!(hashes, expected);
    for (path, text) in FILES.iter().filter(|(path, _)| path.starts_with("vendor/")) {
        let served = String::from_utf8(served(path, text).to_vec()).unwrap();
        assert!(!served.contains("from\"preact") && !served.contains("from\"@"), "{path} imports a package");
    }
}

/// Files in `screens/` are loaded when their screen is opened. A page may be as large as with its largest screen.
#[test]
fn page_stays_below_its_size() {
    let pages = FILES.iter().filter_map(|(path, _)| path.strip_suffix("/main.js"));
    let size =
        |path: &str| FILES.iter().find(|(each, _)| *each == path).map_or(0, |(path, text)| served(path, text).len());
    for page in pages {
        let screens = format!("{page}/screens/");
        let always = FILES.iter().map(|(path, _)| *path).filter(|path| {
            let folder = path.split('/').next().unwrap_or_default();
            // Chinese is the longer of the two languages, of which a page loads one.
            [page, "base", "vendor"].contains(&folder) && !path.ends_with("/words/en.js") && !path.starts_with(&screens)
        });
        let of_screens = FILES.iter().map(|(path, _)| *path).filter(|path| path.starts_with(&screens));
        let largest = of_screens.map(|path| with_imports(path).into_iter().map(&size).sum::<usize>()).max();
        let total = shell_size(page) + always.map(size).sum::<usize>() + largest.unwrap_or_default();
        assert!(total < MAX_PAGE_BYTES, "{page}: {total} bytes");
    }
}

/// The HTML of a page, which names the scripts that it preloads, without the facts about the server.
fn shell_size(page: &str) -> usize {
    let preloaded = FILES.iter().map(|(path, _)| *path).filter(|path| {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        path.ends_with(".js") && [page, "base", "vendor"].contains(&folder)
    });
    let line = |path: &str| format!("<link rel=\"modulepreload\" href=\"/pages/{}/{path}\">\n", *VERSION).len();
    include_str!("../shell.html").len() + preloaded.map(line).sum::<usize>()
}

/// The page, its files and texts, the index of the OpenAPI document, and the largest operation.
#[test]
fn reference_stays_below_its_size() {
    let ReferenceParts { index, details } = ReferenceParts::new(crate::api::document(&Config::default()));
    let largest = details.iter().map(|(_, part)| part.to_string().len()).max().unwrap_or_default();
    let of_base = ["base/style.css", "base/language.js"];
    let loaded = FILES.iter().filter(|(path, _)| of_base.contains(path) || path.starts_with("docs/"));
    let files = loaded.filter(|(path, _)| !path.ends_with("/words/en.js")).map(|(path, text)| served(path, text).len());
    let html = include_str!("../docs.html").len() + include_str!("../mark.svg").len();
    let total = html + files.sum::<usize>() + index.to_string().len() + largest;
    assert!(total < MAX_PAGE_BYTES, "{total} bytes");
}

/// A script, and all scripts of its folder that it imports.
fn with_imports(path: &'static str) -> BTreeSet<&'static str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![path]);
    while let Some(path) = open.pop() {
        if !found.insert(path) {
            continue;
        }
        let (_, text) = FILES.iter().find(|(each, _)| *each == path).unwrap();
        let folder = &path[..=path.rfind('/').unwrap()];
        let names = text.match_indices("from './").map(|(at, _)| text[at + 8..].split('\'').next().unwrap());
        let imported = names.map(|name| format!("{folder}{name}"));
        open.extend(imported.filter_map(|path| FILES.iter().map(|(each, _)| *each).find(|each| **each == *path)));
    }
    found
}

#[test]
fn only_comments_with_lines_of_their_own_are_left_out() {
    let text = "// a\n/** b */\nlet c = '//d'; // e\n  /*\n * f\n */\n/** @type {g} */ (h);\n";
    assert_eq!(without_comments(text), "let c = '//d'; // e\n/** @type {g} */ (h);\n");
}

/// The keys of a file of texts: the quoted names at the beginning of lines.
fn keys(text: &str) -> BTreeSet<&str> {
    let keys = text.lines().filter_map(|line| line.strip_prefix("  '")?.split_once("':"));
    keys.map(|(key, _)| key).collect()
}

#[test]
fn languages_have_the_same_texts() {
    let english = FILES.iter().filter_map(|(path, text)| Some((path.strip_suffix("/en.js")?, text)));
    for (folder, text) in english {
        let chinese = FILES.iter().find(|(path, _)| *path == format!("{folder}/zh-Hant.js"));
        let (_, chinese) = chinese.unwrap_or_else(|| panic!("{folder} has no zh-Hant.js"));
        assert_eq!(keys(text), keys(chinese), "{folder}");
        assert!(!keys(text).is_empty(), "{folder}");
    }
}

/// The fixed keys that a script passes to `t`.
fn used_keys(text: &str) -> BTreeSet<&str> {
    let calls = text.match_indices("t('").filter(|(at, _)| {
        !text[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '.')
    });
    calls.filter_map(|(at, call)| text[at + call.len()..].split('\'').next()).collect()
}

#[test]
fn every_text_that_a_page_uses_exists() {
    let texts = |folder: &str| FILES.iter().find(|(path, _)| *path == format!("{folder}/words/en.js"));
    let of_base = keys(texts("base").unwrap().1);
    for (path, text) in FILES.iter().filter(|(path, _)| !path.contains("/words/") && path.ends_with(".js")) {
        // The API reference has its own texts alone.
        let base = if path.starts_with("docs/") { BTreeSet::new() } else { of_base.clone() };
        let own = path.split_once('/').and_then(|(folder, _)| texts(folder)).map(|(_, text)| keys(text));
        let own = own.unwrap_or_default();
        for key in used_keys(text) {
            assert!(base.contains(key) || own.contains(key), "{path} uses the text {key}");
        }
    }
}
