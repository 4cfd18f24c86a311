//! Names and values: bodies of forms, and queries.

use super::{Shape, shape};
use crate::cost::target::{Target, URLENCODED, filled, numbered};

/// The space of a query in the largest head that the server reads.
const QUERY: usize = 12 << 10;

/// A form of many fields, after or before those that the operation needs.
pub(in crate::cost) fn form_fields(target: &Target<'_>) -> Vec<Shape> {
    let valid = target.valid_form();
    let space = target.size.saturating_sub(valid.len() + 16);
    let known = target.fields().to_vec();
    let around = |(name, fields): (String, String)| {
        let fields = fields.trim_end_matches('&');
        [
            (format!("{name}, after the valid ones"), format!("{valid}&{fields}")),
            (format!("{name}, before the valid ones"), format!("{fields}&{valid}")),
        ]
    };
    let bodies = pairs(&known, space).into_iter().flat_map(around);
    bodies.map(|(name, body)| shape(format!("form: {name}"), &target.message().body(URLENCODED, body))).collect()
}

/// A query of many parameters.
pub(in crate::cost) fn query_parameters(target: &Target<'_>) -> Vec<Shape> {
    let path = target.message().target;
    let queries = pairs(&target.operation.query, QUERY.min(target.size)).into_iter();
    queries
        .map(|(name, query)| {
            let message = target.message_to(&format!("{path}?{}", query.trim_end_matches('&')));
            shape(format!("query: {name}"), &message)
        })
        .collect()
}

/// Pairs of about this size, each followed by `&`.
fn pairs(known: &[String], size: usize) -> Vec<(String, String)> {
    let first = known.first().map_or("a", String::as_str);
    let own = |name: &str, pairs: String| (name.to_owned(), pairs);
    vec![
        own("different names", numbered(size, |number| format!("{number}&"))),
        own("different names with values", numbered(size, |number| format!("{number}={number}&"))),
        own("different names, the first one again at the end", {
            format!("{}a=&", numbered(size - 4, |number| format!("{number}&")))
        }),
        own("one known name", filled(&format!("{first}=a&"), size)),
        own("all known names in turn", {
            let turn: String = known.iter().map(|name| format!("{name}=&")).collect();
            filled(if turn.is_empty() { "a=&" } else { &turn }, size)
        }),
        own("separators", filled("&", size)),
        own("empty pairs", filled("=&", size)),
        own("an encoded value", format!("{first}={}&", filled("%41", size - first.len() - 2))),
        own("encoded names", filled("%61%62=%63&", size)),
        own("spaces", format!("{first}={}&", filled("+", size - first.len() - 2))),
        own("percent signs", format!("{first}={}&", filled("%", size - first.len() - 2))),
        own("brackets", filled("a[]=a&", size)),
        // As many as a bound on their number may allow, each as long as the size allows.
        own("50 long values", {
            (0..50).map(|number| format!("n{number}={}&", filled("%41", size / 50 - 8))).collect()
        }),
        own("50 long names", (0..50).map(|number| format!("{}{number}&", "a".repeat(size / 50 - 8))).collect()),
        own("50 equal long names", filled(&format!("{}&", "a".repeat(size / 50 - 1)), size)),
        own("wrong at the end", format!("{}a=%ff&", numbered(size - 8, |number| format!("{number}=&")))),
    ]
}
