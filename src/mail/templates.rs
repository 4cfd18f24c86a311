//! The letters as they are written: templates in every language, those that come with Signet and an operator's own, read and checked
//! once. Knows nothing of how mail is made or sent.
//!
//! A template is text with names in double braces, and all that it can do is to have values put in their place: there is
//! no condition, no loop and no code, so that whoever may edit letters may do nothing else, and a template that
//! was checked at the start cannot fail later. That is few enough lines to need no engine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::language::Language;

/// What a letter is about; its name is that of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The name of what only this kind has, and whether it must stand alone on a line of the text, where people and
    /// programs find it.
    own: Option<(&'static str, bool)>,
}

/// What every letter can say, beside what its kind has.
const EVERYWHERE: [&str; 4] = ["service", "email", "minutes", "until"];

/// What the page around a letter's HTML can say.
const LAYOUT: [&str; 4] = ["language", "subject", "body", "service"];

const CODE: Option<(&str, bool)> = Some(("code", true));
const LINK: Option<(&str, bool)> = Some(("link", true));

/// Every kind of letter.
pub(super) const KINDS: [Kind; 9] = [
    Kind { name: "sign-in-code", own: CODE },
    Kind { name: "confirm-code", own: CODE },
    Kind { name: "magic-link", own: LINK },
    Kind { name: "reset-password", own: LINK },
    Kind { name: "confirm-email", own: LINK },
    Kind { name: "email-changed", own: Some(("new", false)) },
    Kind { name: "password-changed", own: None },
    Kind { name: "second-factor-on", own: None },
    Kind { name: "second-factor-off", own: None },
];

/// The three files of a letter.
const PARTS: [&str; 3] = ["subject", "txt", "html"];

/// Beside the folders of the languages.
const LAYOUT_FILE: &str = "layout.html";

macro_rules! letters {
    ($language:literal: $($name:literal)*) => {
        &[$(($name, [
            include_str!(concat!("letters/", $language, "/", $name, ".subject")),
            include_str!(concat!("letters/", $language, "/", $name, ".txt")),
            include_str!(concat!("letters/", $language, "/", $name, ".html")),
        ])),*]
    };
    ($language:literal) => {
        ($language, letters!($language: "sign-in-code" "confirm-code" "magic-link" "reset-password" "confirm-email" "email-changed"
            "password-changed" "second-factor-on" "second-factor-off"))
    };
}

type BuiltIn = (&'static str, &'static [(&'static str, [&'static str; 3])]);

/// English first: it stands in for what others lack.
const BUILT_IN: [BuiltIn; 2] = [letters!("en"), letters!("zh-TW")];

/// Why the operator's letters cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The system refuses.
    #[error("mail.templates: {} cannot be read: {detail}", path.display())]
    Unreadable {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// It has no place here.
    #[error("mail.templates: {} is not what belongs there: {expected}", path.display())]
    Unexpected {
        /// Which file or folder.
        path: PathBuf,
        /// What belongs there.
        expected: String,
    },
    /// What is written cannot be used.
    #[error("mail.templates: {} {fault}", path.display())]
    Faulty {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// A language that does not come with Signet has some of a letter's files and lacks another.
    #[error("mail.templates: {} is missing: a letter of a language that is not built in needs .subject, .txt and .html, or none of them", path.display())]
    Missing {
        /// The file that is missing.
        path: PathBuf,
    },
}

/// A letter with its values in place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// Every letter in every language.
pub(super) struct Templates {
    names: Vec<String>,
    /// By language, then in the order of [`KINDS`].
    letters: Vec<Vec<[Template; 3]>>,
    layout: Template,
}

impl Templates {
    /// The built-in letters, and over them the operator's.
    pub(super) fn read(folder: Option<&Path>) -> Result<Self, TemplateError> {
        let mut sources: BTreeMap<String, Sources> = BTreeMap::new();
        let built_in = Path::new("built in");
        for (language, letters) in BUILT_IN {
            let letters = letters.iter().map(|(name, parts)| {
                let parts = std::array::from_fn(|part| Some((built_in.join(name), parts[part].to_owned())));
                (*name, parts)
            });
            sources.insert(language.to_owned(), letters.collect());
        }
        let mut layout = (built_in.join(LAYOUT_FILE), include_str!("letters/layout.html").to_owned());
        if let Some(folder) = folder {
            for entry in entries(folder)? {
                if entry.file_name() == Some(OsStr::new(LAYOUT_FILE)) {
                    layout = (entry.clone(), text_of(&entry)?);
                } else {
                    let language = language_of(&entry)?;
                    let known = sources.keys().find(|known| known.eq_ignore_ascii_case(&language)).cloned();
                    read_language(&entry, sources.entry(known.unwrap_or(language)).or_default())?;
                }
            }
        }
        let mut found =
            Self { names: Vec::new(), letters: Vec::new(), layout: Template::read(&layout.0, &layout.1, &LAYOUT)? };
        // English first, the others by their names: how a language is numbered does not matter to anybody else.
        let english = sources.remove_entry(BUILT_IN[0].0);
        for (language, sources) in english.into_iter().chain(sources) {
            let letters = KINDS.iter().enumerate().map(|(place, kind)| {
                let english = found.letters.first().map(|letters: &Vec<[Template; 3]>| &letters[place]);
                checked(*kind, sources.get(kind.name), english, folder.unwrap_or(built_in).join(&language).as_path())
            });
            let letters = letters.collect::<Result<_, _>>()?;
            found.letters.push(letters);
            found.names.push(language);
        }
        Ok(found)
    }

    /// The languages, English first.
    pub(super) fn languages(&self) -> &[String] {
        &self.names
    }

    /// A letter, written. `values` are the names of its kind, and no others are looked for.
    pub(super) fn write(&self, kind: Kind, language: Language, values: &[(&str, &str)]) -> Written {
        let language = if language.0 < self.names.len() { language } else { Language::default() };
        let place = KINDS.iter().position(|known| *known == kind).unwrap_or_default();
        let [subject, text, html] = &self.letters[language.0][place];
        let subject = subject.fill(values, str::to_owned);
        let body = html.fill(values, escaped);
        let html = if is_whole_page(&body) {
            body
        } else {
            let value = |name: &str| values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
            let (language, subject) = (escaped(&self.names[language.0]), escaped(&subject));
            let service = escaped(value("service"));
            let around =
                [("language", language.as_str()), ("subject", &subject), ("body", &body), ("service", &service)];
            self.layout.fill(&around, str::to_owned)
        };
        Written { subject, text: text.fill(values, str::to_owned), html }
    }
}

/// The files of each letter of a language.
type Sources = BTreeMap<&'static str, [Option<(PathBuf, String)>; 3]>;

/// The three templates of a letter; English where the language has none of it.
fn checked(
    kind: Kind,
    sources: Option<&[Option<(PathBuf, String)>; 3]>,
    english: Option<&[Template; 3]>,
    folder: &Path,
) -> Result<[Template; 3], TemplateError> {
    let names = EVERYWHERE.iter().copied().chain(kind.own.map(|(name, _)| name)).collect::<Vec<_>>();
    let [subject, text, html] = match (sources, english) {
        (None, Some(english)) => return Ok(english.clone()),
        (sources, _) => {
            let part = |part: usize| {
                let found = sources.and_then(|sources| sources[part].as_ref());
                found.ok_or_else(|| TemplateError::Missing {
                    path: folder.join(format!("{}.{}", kind.name, PARTS[part])),
                })
            };
            [part(0)?, part(1)?, part(2)?]
        }
    };
    let faulty = |path: &Path, fault: String| Err(TemplateError::Faulty { path: path.to_owned(), fault });
    let line = subject.1.trim();
    if line.is_empty() || line.contains(char::is_control) {
        return faulty(&subject.0, "must be one line".to_owned());
    }
    if let Some((name, true)) = kind.own {
        let alone = format!("{{{{{name}}}}}");
        if !text.1.lines().any(|line| line.trim_end() == alone) {
            return faulty(&text.0, format!("must have {alone} alone on a line"));
        }
        if !html.1.contains(&alone) {
            return faulty(&html.0, format!("must have {alone}"));
        }
    }
    Ok([
        Template::read(&subject.0, line, &names)?,
        Template::read(&text.0, &text.1, &names)?,
        Template::read(&html.0, &html.1, &names)?,
    ])
}

fn read_language(folder: &Path, into: &mut Sources) -> Result<(), TemplateError> {
    for path in entries(folder)? {
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let kind = KINDS.iter().find(|kind| kind.name == stem);
        let part = PARTS.iter().position(|part| *part == extension);
        let (Some(kind), Some(part)) = (kind, part) else {
            let letters = KINDS.map(|kind| kind.name).join(", ");
            let expected = format!("a .subject, .txt or .html of one of {letters}");
            return Err(TemplateError::Unexpected { path, expected });
        };
        let text = text_of(&path)?;
        into.entry(kind.name).or_default()[part] = Some((path, text));
    }
    Ok(())
}

/// What a folder holds, in the order of the names; not what is hidden, which editors and systems leave there.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let unreadable =
        |error: std::io::Error| TemplateError::Unreadable { path: folder.to_owned(), detail: error.to_string() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn text_of(path: &Path) -> Result<String, TemplateError> {
    let text = std::fs::read_to_string(path);
    text.map_err(|error| TemplateError::Unreadable { path: path.to_owned(), detail: error.to_string() })
}

/// A folder's name as a language tag: a language, and what is said of it.
fn language_of(folder: &Path) -> Result<String, TemplateError> {
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let mut subtags = name.split('-');
    let letters = |subtag: &str| subtag.bytes().all(|byte| byte.is_ascii_alphabetic());
    let language = subtags.next().is_some_and(|first| (2..=3).contains(&first.len()) && letters(first));
    let more =
        |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if language && subtags.all(more) && folder.is_dir() {
        return Ok(name.to_owned());
    }
    let expected = format!("{LAYOUT_FILE}, or a folder named like a language, such as de or pt-BR");
    Err(TemplateError::Unexpected { path: folder.to_owned(), expected })
}

/// A letter that brings a page of its own is not put into another.
fn is_whole_page(html: &str) -> bool {
    let begin = html.trim_start().get(..9).unwrap_or_default().to_ascii_lowercase();
    begin == "<!doctype" || begin.starts_with("<html")
}

fn escaped(value: &str) -> String {
    let mut html = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

/// Text, and the names between: `(text, name)` pairs, and the text after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    pieces: Vec<(String, String)>,
    end: String,
}

impl Template {
    fn read(path: &Path, text: &str, names: &[&str]) -> Result<Self, TemplateError> {
        let faulty = |fault: String| TemplateError::Faulty { path: path.to_owned(), fault };
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| faulty("has {{ without }}".to_owned()))?;
            if !names.contains(&name) {
                let allowed = names.iter().map(|name| format!("{{{{{name}}}}}")).collect::<Vec<_>>().join(", ");
                return Err(faulty(format!("has {{{{{name}}}}}, which does not exist there; it can have {allowed}")));
            }
            pieces.push((before.to_owned(), name.to_owned()));
            rest = after;
        }
        Ok(Self { pieces, end: rest.to_owned() })
    }

    /// The values are not looked into: what they hold stays as it is.
    fn fill(&self, values: &[(&str, &str)], as_written: impl Fn(&str) -> String) -> String {
        let mut filled = String::new();
        for (before, name) in &self.pieces {
            filled.push_str(before);
            if let Some((_, value)) = values.iter().find(|(known, _)| known == name) {
                filled.push_str(&as_written(value));
            }
        }
        filled.push_str(&self.end);
        filled
    }
}
