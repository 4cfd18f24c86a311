//! Pieces of HTML that letters share. A letter names one where it stands, with the texts that the piece needs in the
//! letter's language: `{{> button | Sign in}}`. Knows no letter and fills in no value: the placeholders of a piece are
//! those of the letter that names it.

/// Name, number of texts, and HTML of each piece, in which `{{1}}` is the first text.
const PARTS: [(&str, usize, &str); 5] = [
    ("account", 1, include_str!("letters/parts/account.html")),
    ("button", 1, include_str!("letters/parts/button.html")),
    ("code", 0, include_str!("letters/parts/code.html")),
    ("facts", 3, include_str!("letters/parts/facts.html")),
    ("link", 1, include_str!("letters/parts/link.html")),
];

/// Writes out the pieces that `html` names. An error continues a sentence about the file.
pub(super) fn expand(html: &str) -> Result<String, String> {
    let (mut expanded, mut rest) = (String::new(), html);
    while let Some((before, after)) = rest.split_once("{{>") {
        let (named, after) = after.split_once("}}").ok_or_else(|| "has {{> without }}".to_owned())?;
        let mut texts = named.split('|').map(str::trim);
        let name = texts.next().unwrap_or_default();
        let Some((_, needed, part)) = PARTS.iter().find(|(known, ..)| *known == name) else {
            let known = PARTS.map(|(name, ..)| name).join(", ");
            return Err(format!("has {{{{> {name}}}}}, which does not exist; there are {known}"));
        };
        let texts = texts.collect::<Vec<_>>();
        if texts.len() != *needed {
            return Err(format!("has {{{{> {name}}}}} with {} texts; it needs {needed}", texts.len()));
        }
        let texts = texts.iter().zip(1..);
        let part =
            texts.fold(part.trim_end().to_owned(), |part, (text, at)| part.replace(&format!("{{{{{at}}}}}"), text));
        expanded.push_str(before);
        expanded.push_str(&part);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_is_written_out_with_its_texts() {
        let html = expand("<p>a</p>\n{{> facts | Zeit | Gerät | Adresse}}\n{{service}}").unwrap();
        assert!(html.starts_with("<p>a</p>\n<table") && html.ends_with("</table>\n{{service}}"), "{html}");
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} is missing in {html}"));
        assert!(at(">Zeit<") < at("{{time}}") && at("{{time}}") < at(">Gerät<") && at(">Gerät<") < at("{{device}}"));
        assert!(!html.contains("{{1}}") && !html.contains("{{>"));
        assert_eq!(expand("{{code}}").unwrap(), "{{code}}");
    }

    #[test]
    fn unknown_part_or_wrong_number_of_texts_is_refused() {
        for (html, problem) in [
            ("{{> button", "has {{> without }}"),
            (
                "{{> banner | x}}",
                "has {{> banner}}, which does not exist; there are account, button, code, facts, link",
            ),
            ("{{> button}}", "has {{> button}} with 0 texts; it needs 1"),
            ("{{> code | 1}}", "has {{> code}} with 1 texts; it needs 0"),
        ] {
            assert_eq!(expand(html).unwrap_err(), problem);
        }
    }
}
