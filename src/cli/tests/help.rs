//! The arguments and their help texts as a whole.

use clap::CommandFactory;

use crate::cli::arguments::Arguments;

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

/// The names of a command and of those below it, each with the text after its options.
fn texts_after_options(command: &clap::Command, texts: &mut Vec<(String, String)>) {
    texts.extend(command.get_after_help().map(|text| (command.get_name().to_owned(), text.to_string())));
    for below in command.get_subcommands() {
        texts_after_options(below, texts);
    }
}

#[test]
fn help_breaks_lines_only_for_the_terminal() {
    let mut texts = Vec::new();
    texts_after_options(&Arguments::command(), &mut texts);
    assert!(texts.len() > 10, "{texts:?}");
    let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
    for (command, text) in &texts {
        let lines: Vec<_> = text.lines().collect();
        for pair in lines.windows(2) {
            assert!(!is_prose(pair[0]) || !is_prose(pair[1]), "{command}: a paragraph has several lines: {pair:?}");
        }
        // clap breaks lines that are longer, and an example with a break cannot be copied.
        for line in lines {
            assert!(is_prose(line) || line.chars().count() <= 100, "{command}: {line}");
        }
    }
}

#[test]
fn options_of_every_command_are_listed_apart() {
    let mut signet = Arguments::command();
    signet.build();
    let users = signet.find_subcommand_mut("users").unwrap();
    let help = users.find_subcommand_mut("create").unwrap().render_help().to_string();
    let (own, rest) = help.split_once("Options of every command:").unwrap();
    let (global, _) = rest.split_once("Examples:").unwrap();
    for (option, is_global) in [("--email", false), ("--claims", false), ("--config", true), ("--json", true)] {
        assert_eq!((own.contains(option), global.contains(option)), (!is_global, is_global), "{help}");
    }
}
