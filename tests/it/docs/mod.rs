//! The documentation: everything that it links to exists, the commands, settings and calls that it names exist, and
//! what is generated from the code is up to date.

mod commands;
mod generated;
mod names;
mod quickstart;

use std::path::{Path, PathBuf};

/// Folders with pages beside the book: the top of the repository, the load tests, and what services verify with.
const OTHER_FOLDERS: &[&str] = &["", "loadtest", "clients/js", "clients/python", "clients/vectors", "crates/verify"];

/// The pages of the book in docs/ and of the other folders.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> = OTHER_FOLDERS.iter().flat_map(|folder| list(&root.join(folder)).0).collect();
    pages.extend(book_pages());
    pages
}

fn book_pages() -> Vec<PathBuf> {
    pages_below(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"))
}

/// The pages in a folder and in those below it.
pub(crate) fn pages_below(folder: PathBuf) -> Vec<PathBuf> {
    let mut folders = vec![folder];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        let (found, below) = list(&folder);
        pages.extend(found);
        folders.extend(below);
    }
    pages
}

/// The pages in a folder, and its folders.
fn list(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    (files.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect(), folders)
}

/// A piece of code of a page.
struct Code {
    /// The language of a block; `None` for code within a line.
    language: Option<String>,
    text: String,
}

/// The code of a page, in its order.
fn code(text: &str) -> Vec<Code> {
    let mut found = Vec::new();
    let mut block: Option<Code> = None;
    let mut prose = String::new();
    let end_prose = |prose: &mut String, found: &mut Vec<Code>| {
        let spans =
            prose.split('`').skip(1).step_by(2).map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
        found.extend(spans.map(|text| Code { language: None, text }));
        prose.clear();
    };
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut block) {
            (Some(language), None) => {
                end_prose(&mut prose, &mut found);
                block = Some(Code { language: Some(language.to_owned()), text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(block.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) if line.starts_with("    ") && line.trim_start().starts_with("signet ") => {
                found.push(Code { language: Some("sh".to_owned()), text: line.trim_start().to_owned() });
            }
            (None, None) if line.trim().is_empty() => end_prose(&mut prose, &mut found),
            (None, None) => prose += &format!("{line}\n"),
        }
    }
    end_prose(&mut prose, &mut found);
    found
}

/// The pages whose commands, settings and calls are those of this version: not the history.
fn current_pages() -> impl Iterator<Item = (PathBuf, String)> {
    let pages = pages().into_iter().filter(|page| !page.ends_with("CHANGELOG.md"));
    pages.map(|page| {
        let text = std::fs::read_to_string(&page).unwrap();
        (page, text)
    })
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut listed: Vec<_> = targets(&summary).map(|target| docs.join(target)).collect();
    let mut pages: Vec<_> = book_pages().into_iter().filter(|page| !page.ends_with("SUMMARY.md")).collect();
    listed.sort();
    pages.sort();
    assert_eq!(listed, pages, "each page of docs/ once");
}

/// The targets of the links and images of a page: `](target)`, and `src="target"` or `srcset="target"` of pictures that
/// have a light and a dark form.
pub(crate) fn targets(text: &str) -> impl Iterator<Item = &str> {
    [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')].into_iter().flat_map(move |(opening, closing)| {
        text.match_indices(opening).filter_map(move |(at, opening)| {
            let rest = &text[at + opening.len()..];
            rest.split_once(closing).map(|(target, _)| target)
        })
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

/// The rows of the table of promises, and the controls, each with the lines that belong to it.
fn promises(text: &str) -> Vec<String> {
    let section = |heading: &str| {
        let (_, rest) = text.split_once(&format!("\n## {heading}\n")).expect("a section with this heading");
        rest.split("\n#").next().unwrap().to_owned()
    };
    let rows = section("Promises and their tests");
    let rows = rows.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise "));
    let controls = section("Guessing and floods: the controls");
    let controls = controls.split("\n- **").skip(1);
    rows.chain(controls).map(str::to_owned).collect()
}

#[test]
fn promises_in_security_md_name_their_tests() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    let promises = promises(&text);
    assert!(promises.len() > 60, "only {} promises were found", promises.len());
    let is_tested =
        |promise: &String| targets(promise).any(|it| it.starts_with("../tests/") || it.starts_with("../src/"));
    let untested: Vec<_> = promises.iter().filter(|promise| !is_tested(promise)).collect();
    assert!(untested.is_empty(), "{untested:#?}");
}

/// Folders of the repository that the documentation names in code.
const FOLDERS: &[&str] =
    &["src/", "tests/", "crates/", "benches/", "packaging/", "loadtest/", "migrations/", "clients/", "fuzz/", "docs/"];

#[test]
fn paths_in_the_documentation_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut count, mut missing) = (0, Vec::new());
    for (page, text) in current_pages() {
        for code in code(&text).iter().filter(|code| code.language.is_none()) {
            // A command with its arguments, or a path alone.
            let path = code.text.split(' ').next().unwrap();
            if FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.contains(['…', '*', '<']) {
                count += 1;
                if !root.join(path).exists() && !page.with_file_name(path).exists() {
                    missing.push(format!("{}: {path}", page.display()));
                }
            }
        }
    }
    assert!(count > 20, "only {count} paths were found");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Beginnings of commands that install packages, by default those of a registry.
const INSTALLERS: &[&str] = &[
    "bun add",
    "bunx",
    "cargo add",
    "cargo install",
    "deno add",
    "npm add",
    "npm i",
    "npm install",
    "npx",
    "pip install",
    "pip3 install",
    "pipx install",
    "pnpm add",
    "poetry add",
    "uv add",
    "uv pip install",
    "yarn add",
];

/// True if the line installs a package that is called like one of Signet's, and does not say from where. Signet is in
/// no registry, so this would be somebody else's.
fn installs_of_a_registry(line: &str) -> bool {
    let Some((_, arguments)) = INSTALLERS.iter().find_map(|command| line.split_once(&format!("{command} "))) else {
        return false;
    };
    let mut names = arguments.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    let is_ours = |name: &str| ["signet", "@signet"].iter().any(|ours| name.starts_with(ours));
    !arguments.contains("--path ") && names.any(is_ours)
}

#[test]
fn no_page_installs_signet_from_a_registry() {
    for bad in ["pip install 'signet-verify[fastapi]'", "npm i --save @signet/verify", "cargo add signet-verify"] {
        assert!(installs_of_a_registry(bad), "{bad}");
    }
    let (mut from_sources, mut wrong) = (0, Vec::new());
    for (page, text) in current_pages() {
        for code in code(&text) {
            for line in code.text.lines().filter(|line| INSTALLERS.iter().any(|command| line.contains(command))) {
                from_sources += usize::from(line.contains("../signet/"));
                if installs_of_a_registry(line) {
                    wrong.push(format!("{}: {line}", page.display()));
                }
            }
        }
    }
    assert!(from_sources >= 4, "only {from_sources} lines install from the sources");
    assert!(wrong.is_empty(), "{wrong:#?}");
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

/// Rows of tables and lines of code may be longer.
#[test]
fn prose_has_at_most_120_columns() {
    let mut long = Vec::new();
    for page in pages().into_iter().chain([Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut is_code = false;
        for (index, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            if line.chars().count() > 120 && !is_code && !line.starts_with('|') {
                long.push(format!("{}: line {}", page.display(), index + 1));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// The same screen in the other colours: `NAME.png` and `NAME-dark.png`.
fn counterpart(picture: &Path) -> PathBuf {
    let name = picture.file_stem().unwrap().to_string_lossy().into_owned();
    let other = name.strip_suffix("-dark").map_or_else(|| format!("{name}-dark.png"), |light| format!("{light}.png"));
    picture.with_file_name(other)
}

/// `docs/screenshots/make.js` makes them.
#[test]
fn every_screenshot_is_shown_in_light_and_dark() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots").canonicalize().unwrap();
    let (mut shown, mut alone) = (Vec::new(), Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let files = targets(&text).filter(|target| target.ends_with(".png")).map(|target| page.with_file_name(target));
        let files: Vec<PathBuf> = files.filter_map(|file| file.canonicalize().ok()).collect();
        let of_page = files.iter().filter(|file| file.starts_with(&folder) && !files.contains(&counterpart(file)));
        alone.extend(of_page.map(|file| format!("{}: {}", page.display(), file.display())));
        shown.extend(files);
    }
    assert!(alone.is_empty(), "without the other colours: {alone:#?}");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let pictures: Vec<_> = files.filter(|file| file.extension().is_some_and(|kind| kind == "png")).collect();
    assert!(pictures.len() > 60, "only {} pictures were found", pictures.len());
    let unused: Vec<_> = pictures.iter().filter(|file| !shown.contains(file)).collect();
    assert!(unused.is_empty(), "{unused:#?}");
}
