//! The sources, parsed with `syn`: what each file imports and names.

use std::collections::BTreeSet;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A parsed source file.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) lines: usize,
    pub(super) opens_with_docs: bool,
    /// Module path below `src/`, empty for `lib.rs`; `None` for files that are no part of the library.
    pub(super) module: Option<Vec<String>>,
    pub(super) imports: BTreeSet<Vec<String>>,
    pub(super) crates: BTreeSet<String>,
    pub(super) unsafe_blocks: usize,
}

pub(super) fn read_sources() -> Vec<Source> {
    let files = sources(&["src", "tests", "benches", "crates", "fuzz/src", "fuzz/targets"]);
    files.iter().map(|(path, text)| parse(path, text)).collect()
}

/// The path and the text of every Rust file in these folders of the repository.
pub(crate) fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in folders {
        collect(root, &root.join(folder), &mut files);
    }
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text));
        }
    }
}

pub(super) fn parse(path: &str, text: &str) -> Source {
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let module = path.strip_prefix("src/").filter(|path| *path != "main.rs").map(|path| {
        let path = path.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect::<Vec<_>>()
    });
    let mut visitor = Imports { module: module.clone().unwrap_or_default(), ..Imports::default() };
    visitor.visit_file(&file);
    Source {
        path: path.to_owned(),
        lines: text.lines().count(),
        opens_with_docs: text.starts_with("//!"),
        module,
        imports: visitor.imports,
        crates: visitor.crates,
        unsafe_blocks: visitor.unsafe_blocks,
    }
}

/// Collects the paths that a file names, made absolute.
#[derive(Default)]
struct Imports {
    module: Vec<String>,
    imports: BTreeSet<Vec<String>>,
    crates: BTreeSet<String>,
    unsafe_blocks: usize,
}

impl Imports {
    fn name(&mut self, path: &[String]) {
        let Some(first) = path.first() else { return };
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ => {
                self.crates.insert(first.clone());
                return;
            }
        };
        let mut rest = path;
        while let Some(first) = rest.first().filter(|first| ["crate", "self", "super"].contains(&first.as_str())) {
            if first == "super" {
                base.pop();
            }
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        self.imports.insert(base);
    }

    fn use_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.name(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.name(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.name(prefix),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(prefix, item)),
        }
    }

    /// Paths inside a macro call, which `syn` leaves as tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons == 2 => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.end_of_path(&mut path);
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.end_of_path(&mut path);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.name(path);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.name(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_blocks += 1;
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.unsafe_blocks += usize::from(item.unsafety.is_some());
        visit::visit_item_impl(self, item);
    }
}
