//! Which language a mail is written in: `Accept-Language` (RFC 9110, 12.5.4) looked up among the languages that there are
//! (RFC 4647, 3.4). Knows nothing of what is written in them.

/// A language that mails are written in; English unless said otherwise. Its number among those of the [`Mailer`](super::Mailer)
/// that gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Language(pub(super) usize);

/// Tags that ask for a language which has another name here.
const ALSO: [(&str, &str); 4] = [("zh", "zh-TW"), ("zh-Hant", "zh-TW"), ("zh-HK", "zh-TW"), ("zh-MO", "zh-TW")];

/// A reader names a few languages; a header with more is not from one.
const MOST: usize = 32;

/// The language among `known` that is wanted most, by a look-up (RFC 4647, 3.4): the ranges by falling weight, each shortened from
/// its end until it names a language. The first of `known` where none does.
pub(super) fn look_up(accept_language: Option<&str>, known: &[impl AsRef<str>]) -> Language {
    let named = |tag: &str| known.iter().position(|language| language.as_ref().eq_ignore_ascii_case(tag));
    let asked = |tag: &str| {
        let also = || ALSO.iter().find(|(other, _)| other.eq_ignore_ascii_case(tag));
        named(tag).or_else(|| also().and_then(|(_, language)| named(language)))
    };
    let mut ranges = accept_language.unwrap_or_default().split(',').take(MOST).filter_map(weighted).collect::<Vec<_>>();
    // Stable: of equal weight, what was named first is wanted more.
    ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let found = ranges.iter().find_map(|(range, _)| {
        let mut tag = *range;
        loop {
            match (asked(tag), shortened(tag)) {
                (Some(found), _) => return Some(found),
                (None, Some(shorter)) => tag = shorter,
                (None, None) => return None,
            }
        }
    });
    Language(found.unwrap_or_default())
}

/// A range and its weight in thousandths; `None` for what is unwanted (weight 0), no range, or `*`, which a look-up passes over.
fn weighted(item: &str) -> Option<(&str, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next()?;
    let subtag = |text: &str| (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !range.split('-').all(subtag) {
        return None;
    }
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => thousandths(parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?)?,
    };
    (weight > 0 && parts.next().is_none()).then_some((range, weight))
}

/// RFC 9110, 12.4.2: `0` or `1`, with up to three decimals.
fn thousandths(weight: &str) -> Option<u16> {
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

/// A tag without its last subtag, and without the single letter that may stand before that.
fn shortened(tag: &str) -> Option<&str> {
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
    fn the_most_wanted_language_that_there_is_is_taken() {
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
    fn a_language_by_its_own_name_goes_before_one_that_stands_in() {
        assert_eq!(look_up(Some("zh-HK"), &["en", "zh-TW", "zh-HK"]).0, 2);
        assert_eq!(look_up(Some("zh-HK"), &["en"]).0, 0);
    }

    #[test]
    fn a_header_without_end_is_not_read_to_its_end() {
        let header = format!("{}de", "xx,".repeat(MOST));
        assert_eq!(look_up(Some(&header), &["en", "de"]), Language::default());
    }
}
