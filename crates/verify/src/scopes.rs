//! Scopes (RFC 6749, 3.3): those that a credential has, and those that a request demands.
//!
//! Comparing is cheap: a credential's scopes are sorted once, when it is read, and a request may demand at most
//! [`MAX_SCOPES`]. Knows nothing of what a scope allows.

use std::ops::Range;

/// The most scopes that one request may demand: more than the 50 that an owner may give an API key.
pub const MAX_SCOPES: usize = 64;

/// The longest text of the scopes that one request demands, in bytes. Services pass such texts on in a header field,
/// for which proxies allow no more than 8 KiB.
pub const MAX_SCOPE_TEXT: usize = 8 * 1024;

/// Returns true for a scope as RFC 6749, 3.3 defines it. A space would split it in two, because scopes are sent
/// separated by spaces.
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// The scopes of a credential.
#[derive(Clone, Default)]
pub struct ScopeSet {
    text: Box<str>,
    /// The range of each scope in the text, sorted by scope.
    sorted: Box<[Range<usize>]>,
}

impl ScopeSet {
    /// The scopes of a claim, separated by spaces.
    pub fn parse(text: &str) -> Self {
        let mut end = 0;
        let ranges = text.split(' ').map(|scope| {
            let begin = end;
            end = begin + scope.len() + 1;
            begin..begin + scope.len()
        });
        Self::new(text.into(), ranges.filter(|range| !range.is_empty()).collect())
    }

    /// The scopes of a list. One with a space in it stays one scope, which no request can demand.
    pub fn from_list<'s>(scopes: impl IntoIterator<Item = &'s String>) -> Self {
        let (mut text, mut ranges) = (String::new(), Vec::new());
        for scope in scopes {
            if !ranges.is_empty() {
                text.push(' ');
            }
            ranges.push(text.len()..text.len() + scope.len());
            text.push_str(scope);
        }
        Self::new(text.into(), ranges)
    }

    fn new(text: Box<str>, mut ranges: Vec<Range<usize>>) -> Self {
        ranges.sort_unstable_by(|one, other| text[one.clone()].cmp(&text[other.clone()]));
        Self { text, sorted: ranges.into() }
    }

    /// All of them, separated by spaces, in the order in which they were given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Each of them, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(|place| &self.text[place.clone()])
    }

    /// Returns true if `scope` is one of them.
    pub fn contains(&self, scope: &str) -> bool {
        self.sorted.binary_search_by(|place| self.text[place.clone()].cmp(scope)).is_ok()
    }

    /// Returns true if each of `required` is one of them.
    pub fn contains_all(&self, required: &RequiredScopes<'_>) -> bool {
        required.0.iter().all(|scope| self.contains(scope))
    }
}

/// The scopes that a request demands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredScopes<'a>(Vec<&'a str>);

/// Why demanded scopes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// More than [`MAX_SCOPES`].
    #[error("has more than {MAX_SCOPES} scopes")]
    TooMany,
    /// Longer than [`MAX_SCOPE_TEXT`].
    #[error("is longer than {MAX_SCOPE_TEXT} bytes")]
    TooLong,
}

impl<'a> RequiredScopes<'a> {
    /// Parses scopes separated by white space.
    pub fn parse(text: &'a str) -> Result<Self, ScopesError> {
        if text.len() > MAX_SCOPE_TEXT {
            return Err(ScopesError::TooLong);
        }
        let mut scopes = Vec::new();
        for scope in text.split_ascii_whitespace() {
            if scopes.len() == MAX_SCOPES {
                return Err(ScopesError::TooMany);
            }
            scopes.push(scope);
        }
        Ok(Self(scopes))
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().copied()
    }

    /// All of them, separated by spaces.
    pub fn join(&self) -> String {
        self.0.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(scopes: &ScopeSet, required: &str) -> bool {
        scopes.contains_all(&RequiredScopes::parse(required).unwrap())
    }

    #[test]
    fn every_demanded_scope_must_be_there() {
        let list = ["write", "read", "a:b", "read"].map(str::to_owned);
        for scopes in [ScopeSet::from_list(&list), ScopeSet::parse("write read a:b read")] {
            assert_eq!(scopes.as_str(), "write read a:b read");
            for required in ["", "  ", "read", "write  read", "read\tread\na:b"] {
                assert!(allows(&scopes, required), "{required:?}");
            }
            for required in ["rea", "reads", "read admin", "a", "write,read", "Read"] {
                assert!(!allows(&scopes, required), "{required:?}");
            }
        }
        for none in [ScopeSet::default(), ScopeSet::parse(""), ScopeSet::parse("  "), ScopeSet::from_list(&[])] {
            assert!(allows(&none, "") && !allows(&none, "read") && !none.contains(""));
        }
        assert!(allows(&ScopeSet::parse(" é  read "), "read é"));
    }

    #[test]
    fn scope_with_a_space_is_not_two() {
        let scopes = ScopeSet::from_list(&["x admin".to_owned()]);
        assert!(!allows(&scopes, "admin") && !allows(&scopes, "x admin"));
        assert_eq!(scopes.as_str(), "x admin");
    }

    #[test]
    fn demanded_scopes_are_bounded() {
        let many = |count: usize| vec!["s"; count].join(" ");
        assert!(RequiredScopes::parse(&many(MAX_SCOPES)).is_ok());
        assert_eq!(RequiredScopes::parse(&many(MAX_SCOPES + 1)), Err(ScopesError::TooMany));
        assert!(RequiredScopes::parse(&"s".repeat(MAX_SCOPE_TEXT)).is_ok());
        assert_eq!(RequiredScopes::parse(&"s".repeat(MAX_SCOPE_TEXT + 1)), Err(ScopesError::TooLong));
        assert_eq!(RequiredScopes::parse(&" ".repeat(MAX_SCOPE_TEXT + 1)), Err(ScopesError::TooLong));
        assert_eq!(RequiredScopes::parse(" a\tb  c ").unwrap().join(), "a b c");
    }

    #[test]
    fn a_scope_has_no_space_and_no_quote() {
        assert!(is_scope("reports:read") && is_scope("~!"));
        for invalid in ["", "a b", "a\"", "a\\", "é", "a\n", "\u{7f}"] {
            assert!(!is_scope(invalid), "{invalid:?}");
        }
    }
}
