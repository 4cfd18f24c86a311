//! The language of a mail: `Accept-Language` (RFC 9110, 12.5.4) looked up among the available languages (RFC 4647,
//! 3.4). Knows nothing of templates.

/// A language that mails are written in, English by default: an index into the languages of the
/// [`Mailer`](super::Mailer) that returned it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Language(pub(super) usize);

/// Tags served by a language with another name.
const ALIASES: [(&str, &str); 4] = [("zh", "zh-TW"), ("zh-Hant", "zh-TW"), ("zh-HK", "zh-TW"), ("zh-MO", "zh-TW")];

/// Ranges read from one header: browsers send a few, and a longer header costs no more than this.
const MAX_RANGES: usize = 32;

/// Returns the language in `known` with the highest weight by lookup (RFC 4647, 3.4): each range, by falling weight, is
/// shortened from its end until it names a language. Falls back to the first of `known`.
pub(super) fn look_up(accept_language: Option<&str>, known: &[impl AsRef<str>]) -> Language {
    let position = |tag: &str| known.iter().position(|language| language.as_ref().eq_ignore_ascii_case(tag));
    let find = |tag: &str| {
        let alias = || ALIASES.iter().find(|(other, _)| other.eq_ignore_ascii_case(tag));
        position(tag).or_else(|| alias().and_then(|(_, language)| position(language)))
    };
    let header = accept_language.unwrap_or_default();
    let mut ranges = header.split(',').take(MAX_RANGES).filter_map(parse_range).collect::<Vec<_>>();
    // The sort is stable: of equal weights, the range named first wins.
    ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let found = ranges.iter().find_map(|(range, _)| {
        let mut tag = *range;
        loop {
            match (find(tag), shorten(tag)) {
                (Some(found), _) => return Some(found),
                (None, Some(shorter)) => tag = shorter,
                (None, None) => return None,
            }
        }
    });
    Language(found.unwrap_or_default())
}

/// Parses a range and its weight in thousandths. Returns `None` for weight 0, for an invalid range, and for `*`, which
/// lookup skips.
fn parse_range(item: &str) -> Option<(&str, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next()?;
    let is_subtag = |text: &str| (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !range.split('-').all(is_subtag) {
        return None;
    }
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => parse_weight(parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?)?,
    };
    (weight > 0 && parts.next().is_none()).then_some((range, weight))
}

/// Parses a weight into thousandths (RFC 9110, 12.4.2): `0` or `1`, with up to three decimals.
fn parse_weight(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

/// Removes the last subtag, and the single letter that may stand before it.
fn shorten(tag: &str) -> Option<&str> {
    let (rest, _) = tag.rsplit_once('-')?;
    match rest.rsplit_once('-') {
        Some((before, single)) if single.len() == 1 => Some(before),
        _ => Some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_language_with_highest_weight_is_chosen() {
        let known = ["en", "zh-TW", "de", "pt-BR"];
        for (header, language) in [
            ("", "en"),
            ("de", "de"),
            ("DE-at", "de"),
            ("de-CH-1996", "de"),
            ("de-x-private", "de"),
            ("fr, de", "de"),
            ("en;q=0.8, de", "de"),
            ("de;q=0.8, en;q=0.9", "en"),
            ("de;q=0.123,zh-TW;q=0.124", "zh-TW"),
            ("de, zh-TW", "de"),
            ("de;q=0, zh-TW;q=0.1", "zh-TW"),
            ("*, de;q=0.5", "de"),
            ("*", "en"),
            ("pt-BR", "pt-BR"),
            ("pt", "en"),
            ("zh-TW,zh;q=0.9,en;q=0.8", "zh-TW"),
            ("zh", "zh-TW"),
            ("zh-Hant", "zh-TW"),
            ("zh-hant-hk", "zh-TW"),
            ("zh-HK", "zh-TW"),
            ("zh-MO", "zh-TW"),
            ("de;q=1.001, zh;q=0.1", "zh-TW"),
            ("de;q=x, de;q=0.1234, de;level=1, -, d e, ;;;, ,zh", "zh-TW"),
        ] {
            assert_eq!(known[look_up(Some(header), &known).0], language, "{header}");
        }
        assert_eq!(look_up(None, &known), Language::default());
    }

    #[test]
    fn exact_name_goes_before_an_alias() {
        assert_eq!(look_up(Some("zh-HK"), &["en", "zh-TW", "zh-HK"]).0, 2);
        assert_eq!(look_up(Some("zh-HK"), &["en"]).0, 0);
    }

    #[test]
    fn ranges_beyond_the_bound_are_ignored() {
        let header = format!("{}de", "xx,".repeat(MAX_RANGES));
        assert_eq!(look_up(Some(&header), &["en", "de"]), Language::default());
    }
}
