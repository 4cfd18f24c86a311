//! The reference of log messages, `docs/operate/logs.md`, against the calls of `tracing` in the sources: every message
//! has a row with its level, target and fields, and every row is a message.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::tree::sources;

const PAGE: &str = include_str!("../../../docs/operate/logs.md");
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

/// A call of `tracing`, as a row of the page begins.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    level: String,
    text: String,
    target: String,
    fields: Vec<String>,
}

impl Message {
    fn row(&self) -> String {
        let fields = self.fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
        let text = self.text.replace('|', "\\|");
        format!("| {} | `{text}` | `{}` | {fields} |", self.level.to_uppercase(), self.target)
    }
}

#[test]
fn every_log_message_is_documented() {
    let found: BTreeSet<String> = messages().iter().map(Message::row).collect();
    assert!(found.len() > 60, "only {} messages were found", found.len());
    let rows = PAGE
        .lines()
        .filter(|line| LEVELS.iter().any(|level| line.starts_with(&format!("| {} |", level.to_uppercase()))));
    let mut documented = BTreeSet::new();
    let mut without_advice = Vec::new();
    for row in rows {
        let end = row.trim_end_matches('|').trim_end().rfind(" |").map_or(0, |at| at + 2);
        let (begin, advice) = row.split_at(end);
        assert!(documented.insert(begin.to_owned()), "twice: {row}");
        if (begin.starts_with("| ERROR") || begin.starts_with("| WARN")) && advice.trim_matches(['|', ' ']).len() < 20 {
            without_advice.push(row);
        }
    }
    let missing: Vec<_> = found.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&found).collect();
    assert!(missing.is_empty(), "docs/operate/logs.md lacks these rows; add to each what to do:\n{missing:#?}");
    assert!(gone.is_empty(), "docs/operate/logs.md has rows of messages that no longer exist:\n{gone:#?}");
    assert!(without_advice.is_empty(), "these rows of docs/operate/logs.md do not say what to do: {without_advice:#?}");
}

#[test]
fn messages_are_found_in_every_form_of_a_call() {
    let text = r#"
        fn f() {
            tracing::warn!(%error, user = %user.id, "cannot \
                wait, {n} left");
            warn!(target: "signet::audit", count, "sent");
            debug!("{advice}");
            tokio::select! { _ = a => tracing::info!("in a macro") }
            let _ = match x { Err(error) => tracing::error!(?error, "nested"), _ => {} };
        }
        #[cfg(test)]
        mod tests { fn g() { tracing::warn!("of a test"); } }
    "#;
    let rows: Vec<_> = messages_of("src/a/mod.rs", text).iter().map(Message::row).collect();
    assert_eq!(
        rows,
        [
            "| WARN | `cannot wait, {n} left` | `signet::a` | `error`, `user` |",
            "| WARN | `sent` | `signet::audit` | `count` |",
            "| DEBUG | `{advice}` | `signet::a` |  |",
            "| INFO | `in a macro` | `signet::a` |  |",
            "| ERROR | `nested` | `signet::a` | `error` |",
        ]
    );
}

/// The folders with the sources of each crate that logs.
const CRATES: [(&str, &str); 3] =
    [("signet", "src"), ("signet_verify", "crates/verify/src"), ("signet_ed25519", "crates/ed25519/src")];

/// Every message of the server and of the crates that verify tokens, without those of tests.
fn messages() -> BTreeSet<Message> {
    let sources = sources(&CRATES.map(|(_, folder)| folder));
    let of_program = sources.iter().filter(|(path, _)| !path.ends_with("/tests.rs"));
    of_program.flat_map(|(path, text)| messages_of(path, text)).collect()
}

fn messages_of(path: &str, text: &str) -> Vec<Message> {
    let in_crate = |(name, folder): &(&str, &str)| Some(format!("{name}{}", path.strip_prefix(folder)?));
    let module = CRATES.iter().find_map(in_crate).unwrap();
    let module = module.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/lib").replace('/', "::");
    let mut calls = Calls { module, found: Vec::new() };
    calls.visit_file(&syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}")));
    calls.found
}

struct Calls {
    module: String,
    found: Vec<Message>,
}

impl Calls {
    /// Records the call of a macro of `tracing`, and looks into those of others.
    fn call(&mut self, name: &str, tokens: TokenStream) {
        if LEVELS.contains(&name) {
            let message = self.read(name, tokens);
            self.found.push(message);
        } else {
            self.look_into(tokens);
        }
    }

    /// Finds `name!(…)` among the tokens of a macro call, which `syn` does not parse.
    fn look_into(&mut self, tokens: TokenStream) {
        let mut before: [Option<String>; 2] = [None, None];
        for token in tokens {
            let text = match &token {
                TokenTree::Group(group) => {
                    match &before {
                        [Some(name), Some(mark)] if mark == "!" && group.delimiter() != Delimiter::None => {
                            self.call(&name.clone(), group.stream());
                        }
                        _ => self.look_into(group.stream()),
                    }
                    None
                }
                other => Some(other.to_string()),
            };
            before = [before[1].take(), text];
        }
    }

    fn read(&self, level: &str, tokens: TokenStream) -> Message {
        let (mut target, mut fields, mut text) = (self.module.clone(), Vec::new(), None);
        let mut parts = split_at_commas(tokens).into_iter();
        for part in &mut parts {
            let mut tokens: Vec<TokenTree> = part.into_iter().collect();
            if let [TokenTree::Literal(literal)] = &tokens[..]
                && let Ok(literal) = syn::parse_str::<syn::LitStr>(&literal.to_string())
            {
                text = Some(literal.value());
                break;
            }
            // `%value` and `?value` are recorded by their names.
            if matches!(&tokens[0], TokenTree::Punct(mark) if ['%', '?'].contains(&mark.as_char())) {
                tokens.remove(0);
            }
            let name: String =
                tokens.iter().map(ToString::to_string).take_while(|token| token != "=" && token != ":").collect();
            match tokens.last() {
                Some(TokenTree::Literal(value)) if name == "target" => {
                    target = syn::parse_str::<syn::LitStr>(&value.to_string()).unwrap().value();
                }
                _ => fields.push(name),
            }
        }
        Message { level: level.to_owned(), text: text.unwrap_or_default(), target, fields }
    }
}

fn split_at_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let parts = tokens.split(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ','));
    parts.filter(|part| !part.is_empty()).map(|part| part.iter().cloned().collect()).collect()
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // `#[cfg(test)] mod tests`.
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        self.call(&name, call.tokens.clone());
    }
}
