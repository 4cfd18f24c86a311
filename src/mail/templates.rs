//! Letter templates in every language, built in and the operator's own, read and checked once at start. Knows nothing
//! of how mail is encoded or sent.
//!
//! A template is text with placeholders in double braces and supports substitution only: no condition, no loop, no
//! code. So editing letters grants no other power, and a template that passed the check cannot fail later. This needs
//! no template engine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::language::Language;
use super::letter::{BUILT_IN, KINDS, Kind, Placement};
use super::parts;

/// Placeholders of every letter, besides those of its kind.
const EVERYWHERE: [&str; 4] = ["service", "email", "minutes", "until"];

/// Placeholders of every notice, besides those.
const OF_NOTICES: [&str; 4] = ["time", "device", "ip", "account"];

/// Placeholders of the page around a letter's HTML.
const LAYOUT: [&str; 6] = ["language", "subject", "preheader", "brand", "body", "service"];

/// File extensions of a letter's four parts. The last one is optional.
const PARTS: [&str; 4] = ["subject", "txt", "html", "preheader"];

/// The number of parts that a letter must have.
const REQUIRED_PARTS: usize = 3;

/// Name of the layout, which lies beside the language directories.
const LAYOUT_FILE: &str = "layout.html";

/// The operator's letters are invalid.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A file or directory cannot be read.
    #[error("mail.templates: {} cannot be read: {detail}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        detail: String,
    },
    /// A file or directory that does not belong there.
    #[error("mail.templates: {} is unexpected there: {expected}", path.display())]
    Unexpected {
        /// The file or directory.
        path: PathBuf,
        /// A description of the expected files.
        expected: String,
    },
    /// A file's content is invalid.
    #[error("mail.templates: {} {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A language that is not built in has some of a letter's files and lacks another.
    #[error("mail.templates: {} is missing: a letter of a language that is not built in needs .subject, .txt and .html, or none of them", path.display())]
    Missing {
        /// The missing file.
        path: PathBuf,
    },
}

/// A letter with its values filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RenderedLetter {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// Every letter in every language.
pub(super) struct Templates {
    names: Vec<String>,
    /// By language, then in the order of [`KINDS`].
    letters: Vec<Vec<[Template; 4]>>,
    layout: Template,
    /// The address of the logo, if there is one.
    logo: Option<String>,
}

impl Templates {
    /// Reads the built-in letters and the operator's, which override them. `logo`: the address of the logo.
    pub(super) fn read(folder: Option<&Path>, logo: Option<&str>) -> Result<Self, TemplateError> {
        let mut sources: BTreeMap<String, LanguageSources> = BTreeMap::new();
        let built_in = Path::new("built in");
        for (language, letters) in BUILT_IN {
            let letters = KINDS.iter().zip(letters).map(|(kind, parts)| {
                let parts = std::array::from_fn(|part| Some((built_in.join(kind.name), parts[part].to_owned())));
                (kind.name, parts)
            });
            sources.insert(language.to_owned(), letters.collect());
        }
        let mut layout = (built_in.join(LAYOUT_FILE), include_str!("letters/layout.html").to_owned());
        if let Some(folder) = folder {
            for entry in entries(folder)? {
                if entry.file_name() == Some(OsStr::new(LAYOUT_FILE)) {
                    layout = (entry.clone(), read_text(&entry)?);
                } else {
                    let language = parse_language_tag(&entry)?;
                    let known = sources.keys().find(|known| known.eq_ignore_ascii_case(&language)).cloned();
                    read_language_folder(&entry, sources.entry(known.unwrap_or(language)).or_default())?;
                }
            }
        }
        let layout = Template::read(&layout.0, &layout.1, &LAYOUT)?;
        let mut found = Self { names: Vec::new(), letters: Vec::new(), layout, logo: logo.map(str::to_owned) };
        // English first, then by name. Only this module depends on the order.
        let english = sources.remove_entry(BUILT_IN[0].0);
        for (language, sources) in english.into_iter().chain(sources) {
            let letters = KINDS.iter().enumerate().map(|(place, kind)| {
                let english = found.letters.first().map(|letters: &Vec<[Template; 4]>| &letters[place]);
                check_letter(
                    *kind,
                    sources.get(kind.name),
                    english,
                    folder.unwrap_or(built_in).join(&language).as_path(),
                )
            });
            let letters = letters.collect::<Result<_, _>>()?;
            found.letters.push(letters);
            found.names.push(language);
        }
        Ok(found)
    }

    /// Language tags, English first.
    pub(super) fn languages(&self) -> &[String] {
        &self.names
    }

    /// The tag of a language.
    pub(super) fn name_of(&self, language: Language) -> &str {
        self.names.get(language.0).unwrap_or(&self.names[0])
    }

    /// Fills a letter's templates with `values`, which hold every placeholder of its kind.
    pub(super) fn render(&self, kind: Kind, language: Language, values: &[(&str, &str)]) -> RenderedLetter {
        let language = if language.0 < self.names.len() { language } else { Language::default() };
        let place = KINDS.iter().position(|known| *known == kind).unwrap_or_default();
        let [subject, text, html, preheader] = &self.letters[language.0][place];
        let subject = subject.fill(values, str::to_owned);
        let body = html.fill(values, escape_html);
        let html = if is_whole_page(&body) {
            body
        } else {
            let value = |name: &str| values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
            let (language, subject) = (escape_html(&self.names[language.0]), escape_html(&subject));
            let service = escape_html(value("service"));
            let preheader = preheader.fill(values, escape_html);
            let brand = match &self.logo {
                Some(logo) => logo_image(logo, &service),
                None => service.clone(),
            };
            let around = [
                ("language", language.as_str()),
                ("subject", &subject),
                ("preheader", &preheader),
                ("brand", &brand),
                ("body", &body),
                ("service", &service),
            ];
            self.layout.fill(&around, str::to_owned)
        };
        RenderedLetter { subject, text: text.fill(values, str::to_owned), html }
    }
}

/// The image that replaces the service's name at the top of a mail. The name is what clients show that load no images.
fn logo_image(address: &str, service: &str) -> String {
    let address = escape_html(address);
    format!("<img src=\"{address}\" alt=\"{service}\" height=\"40\" style=\"height:40px;max-width:100%;border:0\">")
}

/// The files of each letter of one language.
type LanguageSources = BTreeMap<&'static str, [Option<(PathBuf, String)>; 4]>;

/// Parses the templates of a letter; uses English if the language has none of its files.
fn check_letter(
    kind: Kind,
    sources: Option<&[Option<(PathBuf, String)>; 4]>,
    english: Option<&[Template; 4]>,
    folder: &Path,
) -> Result<[Template; 4], TemplateError> {
    let of_notices = if kind.is_notice { OF_NOTICES.as_slice() } else { &[] };
    let names = EVERYWHERE.iter().chain(of_notices).chain(kind.values.iter().map(|(name, _)| name)).copied();
    let names = names.collect::<Vec<_>>();
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
    let invalid = |path: &Path, problem: String| TemplateError::Invalid { path: path.to_owned(), problem };
    let one_line = |(path, text): &(PathBuf, String)| match text.trim() {
        line if line.is_empty() || line.contains(char::is_control) => Err(invalid(path, "must be one line".to_owned())),
        line => Template::read(path, line, &names),
    };
    let subject = one_line(subject)?;
    let html = (html.0.clone(), parts::expand(&html.1).map_err(|problem| invalid(&html.0, problem))?);
    // Without one, clients show the beginning of the text.
    let preheader = match sources.and_then(|sources| sources[REQUIRED_PARTS].as_ref()) {
        Some(preheader) => one_line(preheader)?,
        None => Template::default(),
    };
    for (name, _) in kind.values.iter().filter(|(_, placement)| *placement == Placement::OwnLine) {
        let alone = format!("{{{{{name}}}}}");
        if !text.1.lines().any(|line| line.trim_end() == alone) {
            return Err(invalid(&text.0, format!("must have {alone} alone on a line")));
        }
        if !html.1.contains(&alone) {
            return Err(invalid(&html.0, format!("must have {alone}")));
        }
    }
    Ok([subject, Template::read(&text.0, &text.1, &names)?, Template::read(&html.0, &html.1, &names)?, preheader])
}

fn read_language_folder(folder: &Path, into: &mut LanguageSources) -> Result<(), TemplateError> {
    for path in entries(folder)? {
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let kind = KINDS.iter().find(|kind| kind.name == stem);
        let part = PARTS.iter().position(|part| *part == extension);
        let (Some(kind), Some(part)) = (kind, part) else {
            let letters = KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
            let expected = format!("a .subject, .txt, .html or .preheader of one of {letters}");
            return Err(TemplateError::Unexpected { path, expected });
        };
        let text = read_text(&path)?;
        into.entry(kind.name).or_default()[part] = Some((path, text));
    }
    Ok(())
}

/// Lists a directory by name, without hidden files, which editors and desktops leave there.
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

fn read_text(path: &Path) -> Result<String, TemplateError> {
    let text = std::fs::read_to_string(path);
    text.map_err(|error| TemplateError::Unreadable { path: path.to_owned(), detail: error.to_string() })
}

/// Parses a directory's name as a language tag.
fn parse_language_tag(folder: &Path) -> Result<String, TemplateError> {
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

/// A letter that is a complete page is not inserted into the layout.
fn is_whole_page(html: &str) -> bool {
    let begin = html.trim_start().get(..9).unwrap_or_default().to_ascii_lowercase();
    begin == "<!doctype" || begin.starts_with("<html")
}

fn escape_html(value: &str) -> String {
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

/// A parsed template: `(text, placeholder)` pairs, and the text after the last placeholder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Template {
    pieces: Vec<(String, String)>,
    end: String,
}

impl Template {
    fn read(path: &Path, text: &str, names: &[&str]) -> Result<Self, TemplateError> {
        let invalid = |problem: String| TemplateError::Invalid { path: path.to_owned(), problem };
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| invalid("has {{ without }}".to_owned()))?;
            if !names.contains(&name) {
                let allowed = names.iter().map(|name| format!("{{{{{name}}}}}")).collect::<Vec<_>>().join(", ");
                return Err(invalid(format!("has {{{{{name}}}}}, which does not exist there; it can have {allowed}")));
            }
            pieces.push((before.to_owned(), name.to_owned()));
            rest = after;
        }
        Ok(Self { pieces, end: rest.to_owned() })
    }

    /// Placeholders inside values are not expanded.
    fn fill(&self, values: &[(&str, &str)], escape: impl Fn(&str) -> String) -> String {
        let mut filled = String::new();
        for (before, name) in &self.pieces {
            filled.push_str(before);
            if let Some((_, value)) = values.iter().find(|(known, _)| known == name) {
                filled.push_str(&escape(value));
            }
        }
        filled.push_str(&self.end);
        filled
    }
}
