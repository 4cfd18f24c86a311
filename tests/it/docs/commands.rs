//! The command lines of `signet` in the documentation: the command line accepts each of them.

use clap::Parser;
use clap::error::ErrorKind;
use signet::cli::Arguments;

use super::{code, current_pages};

/// The characters that end a command within a line of the shell.
const ENDS: &[&str] = &["|", "||", "&&", ";", "<", ">", "&", "#"];

/// The words of a line of the shell, without quotes. `$(…)` is part of a word.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for char in line.chars() {
        match (char, quote) {
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            ('(', None) if word.as_ref().is_some_and(|word| word.ends_with('$')) => {
                quote = Some(')');
                word.get_or_insert_default().push(char);
            }
            (end, Some(begin)) if end == begin => quote = None,
            (';' | ')', None) => {
                words.extend(word.take());
                words.push(";".to_owned());
            }
            (' ', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// The commands of `signet` in a line of the shell, without their redirections.
fn commands(line: &str) -> Vec<Vec<String>> {
    let words = words(line.trim());
    let mut found = Vec::new();
    let (mut may_begin, mut before) = (true, "");
    let mut rest = words.as_slice();
    while let [word, after @ ..] = rest {
        rest = after;
        let is_program = word == "signet" || word.ends_with("/signet");
        if may_begin && is_program && before != "-u" {
            let end = rest.iter().position(|word| ENDS.contains(&word.as_str())).unwrap_or(rest.len());
            found.push([&["signet".to_owned()], &rest[..end]].concat());
            rest = &rest[end..];
        }
        // After the start of a command: assignments, and words that another command follows.
        let is_prefix = word.contains('=')
            || ["sudo", "-u", "signet", "command", "exec", "until", "(umask", "077"].contains(&word.as_str());
        may_begin = ENDS.contains(&word.as_str()) || (may_begin && is_prefix);
        before = word;
    }
    found
}

#[test]
fn commands_in_the_documentation_are_valid() {
    let (mut count, mut invalid) = (0, Vec::new());
    for (page, text) in current_pages() {
        for code in code(&text) {
            let in_line = code.language.is_none();
            if !in_line && !["sh", "console", "bash"].contains(&code.language.as_deref().unwrap()) {
                continue;
            }
            let joined = code.text.replace("\\\n", " ");
            for command in joined.lines().flat_map(commands) {
                count += 1;
                let Err(error) = Arguments::try_parse_from(&command) else { continue };
                // Within a line a command can be named without its arguments, and an option without its value.
                let is_name = in_line
                    && [
                        ErrorKind::InvalidValue,
                        ErrorKind::MissingRequiredArgument,
                        ErrorKind::MissingSubcommand,
                        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                    ]
                    .contains(&error.kind());
                if !is_name && ![ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind()) {
                    invalid.push(format!("{}: {}\n{error}", page.display(), command.join(" ")));
                }
            }
        }
    }
    assert!(count > 50, "only {count} commands were found");
    assert!(invalid.is_empty(), "{}", invalid.join("\n"));
}

#[test]
fn commands_are_found_in_lines_of_the_shell() {
    let found =
        commands("echo 'a b' | sudo -u signet signet users show \"a b\" | head; (umask 077; signet keys export K > f)");
    assert_eq!(found, [["signet", "users", "show", "a b"], ["signet", "keys", "export", "K"]]);
    assert_eq!(commands("systemctl restart signet && apt install signet"), [[""; 0]; 0]);
    assert_eq!(
        commands("A=b ./target/release/signet --set log.filter=debug # text"),
        [["signet", "--set", "log.filter=debug"]]
    );
    assert_eq!(commands("until signet health; do sleep 1; done"), [["signet", "health"]]);
}
