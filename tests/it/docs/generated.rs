//! The pages that are generated: the settings from config.toml, which tests of `config` compare with the code, and the
//! commands from the definitions of clap. The plot of docs/performance.md is generated from its table. `SIGNET_UPDATE=1
//! ./test generated` writes them anew.

#[path = "../../../benches/support/svg.rs"]
mod svg;

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory};
use signet::cli::Arguments;

use self::svg::{Bar, Bars};
use crate::support::generated::assert_generated;

const CONFIG: &str = include_str!("../../../config.toml");

/// Escapes what Markdown or HTML would interpret, outside of code.
fn prose(text: &str) -> String {
    let mut parts = text.split('`').enumerate().map(|(index, part)| {
        if index % 2 == 1 {
            part.to_owned()
        } else {
            part.replace('<', "\\<").replace('*', "\\*").replace('[', "\\[").replace("__", "\\_\\_")
        }
    });
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |text, part| text + "`" + &part)
}

/// Breaks lines of prose that are longer than 120 columns, but not within code.
fn wrapped(text: &str, indent: &str) -> String {
    let line = |line: &str| {
        let (mut page, mut width, mut in_code) = (String::new(), 0, false);
        for (index, word) in line.split(' ').enumerate() {
            let length = word.chars().count();
            if index > 0 && !in_code && width + 1 + length > 120 {
                page += "\n";
                page += indent;
                width = indent.len();
            } else if index > 0 {
                page.push(' ');
                width += 1;
            }
            page += word;
            width += length;
            in_code ^= word.matches('`').count() % 2 == 1;
        }
        page
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// True if a line of config.toml, without the `#` of a comment, is a setting.
fn is_setting(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

/// A comment as Markdown: lines that are indented are a block.
fn comment(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut in_block = false;
    for line in lines {
        if line.starts_with("  ") != in_block {
            text += if in_block { "```\n" } else { "\n```text\n" };
            in_block = !in_block;
        }
        text += &if in_block { format!("{}\n", line.trim()) } else { format!("{line}\n") };
    }
    if in_block {
        text += "```\n";
    }
    // Code can span lines, so the whole is escaped at once, except for blocks. Escapes make some lines too long.
    let parts = text.split("```").enumerate();
    parts
        .map(|(index, part)| if index % 2 == 1 { format!("```{part}```") } else { wrapped(&prose(part), "") })
        .collect()
}

fn settings_page() -> String {
    let mut page = String::from(
        "# Settings\n\nThis page is generated from `config.toml`, which has every setting with its default value. `signet config \
         show` prints\nthose of an installation, with the source of each.\n\n",
    );
    let mut section = String::new();
    // Its first sentence is about the file.
    let (_, rest) = CONFIG.split_once("\n#\n").expect("the file begins with a comment");
    for block in rest.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty()) {
        let (mut comments, mut settings) = (Vec::new(), Vec::new());
        let end = |comments: &mut Vec<&str>, settings: &mut Vec<&str>, page: &mut String| {
            if !settings.is_empty() {
                writeln!(page, "```toml\n{}\n```\n", settings.join("\n")).unwrap();
            }
            if !comments.is_empty() {
                writeln!(page, "{}", comment(comments)).unwrap();
            }
            comments.clear();
            settings.clear();
        };
        for line in block.lines() {
            let shown = line.strip_prefix('#').map_or(line, |rest| rest.strip_prefix(' ').unwrap_or(rest));
            if shown.starts_with('[') && shown.ends_with(']') {
                // The text before the first table of a section describes the section.
                section = shown.trim_matches(['[', ']']).to_owned();
                let mut about = std::mem::take(&mut comments);
                writeln!(page, "## `[{section}]`\n").unwrap();
                end(&mut about, &mut Vec::new(), &mut page);
            } else if is_setting(shown) {
                settings.push(line);
            } else if line.starts_with('#') {
                if !settings.is_empty() {
                    end(&mut comments, &mut settings, &mut page);
                }
                comments.push(shown);
            }
        }
        end(&mut comments, &mut settings, &mut page);
    }
    assert_eq!(section, "api.v1", "the file was read to its end");
    page.trim_end().to_owned() + "\n"
}

fn option(argument: &Arg) -> String {
    let values: Vec<_> = argument.get_value_names().into_iter().flatten().map(ToString::to_string).collect();
    let value = if values.is_empty() || !matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) {
        String::new()
    } else {
        format!("<{}>", values.join("> <"))
    };
    let name = match argument.get_long() {
        Some(long) if value.is_empty() => format!("--{long}"),
        Some(long) if argument.is_require_equals_set() => format!("--{long}[={value}]"),
        Some(long) => format!("--{long} {value}"),
        None => value,
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let has_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let default =
        if default.is_empty() || !has_value { String::new() } else { format!(" Default: `{}`.", default.join(",")) };
    let possible: Vec<_> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let possible = if possible.is_empty() || !has_value || possible.len() == 2 && possible[0] == "`true`" {
        String::new()
    } else {
        format!(" One of {}.", possible.join(", "))
    };
    let stop = if help.ends_with(['.', ':']) { "" } else { "." };
    wrapped(&format!("- `{name}`: {}{stop}{default}{possible}", prose(&help)), "  ") + "\n"
}

fn describe(command: &Command, path: &str, page: &mut String) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let stop = if about.trim().ends_with(['.', ':']) { "" } else { "." };
    let subcommands: Vec<_> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    let level = if path.contains(' ') && path.matches(' ').count() > 1 { "###" } else { "##" };
    let about = wrapped(&format!("{}{stop}", prose(about.trim())), "");
    write!(page, "{level} {path}\n\n{about}\n\n").unwrap();
    if subcommands.is_empty() {
        let arguments =
            command.get_arguments().filter(|argument| !argument.is_global_set() && argument.get_id() != "help");
        let arguments: String = arguments.map(option).collect();
        if !arguments.is_empty() {
            writeln!(page, "{arguments}").unwrap();
        }
        if let Some(after) = command.get_after_help() {
            write!(page, "```text\n{}\n```\n\n", wrapped(after.to_string().trim(), "")).unwrap();
        }
    }
    for subcommand in subcommands {
        describe(subcommand, &format!("{path} {}", subcommand.get_name()), page);
    }
}

fn commands_page() -> String {
    let mut root = Arguments::command();
    root.build();
    let mut page = String::from(
        "# Commands\n\nThis page is generated from the program. `--help` after a command prints the same.\n\n",
    );
    writeln!(page, "These options come with every command:\n").unwrap();
    let global = root.get_arguments().filter(|argument| argument.is_global_set()).map(option);
    writeln!(page, "{}", global.collect::<String>()).unwrap();
    let after = root.get_after_help().map(ToString::to_string).unwrap_or_default();
    write!(page, "```text\n{}\n```\n\n", wrapped(after.trim(), "")).unwrap();
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(command, &format!("signet {}", command.get_name()), &mut page);
    }
    page.trim_end().to_owned() + "\n"
}

/// The rows of the table of docs/performance.md as bars.
fn plot_of_ratios() -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md")).unwrap();
    let bar = |row: &str| {
        let [_, name, target, measured, _] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else { return None };
        let target = target.strip_prefix("≤ ")?.parse().unwrap();
        Some(Bar {
            name: name.replace('`', ""),
            value: measured.parse().unwrap(),
            target: Some(target),
            is_second: false,
        })
    };
    let bars: Vec<_> = page.lines().filter_map(bar).collect();
    assert!(bars.len() > 4, "only {} rows were found", bars.len());
    let label = "Processor time for each request as a ratio to the baseline";
    let notes = ["line: target; 1 is the baseline".to_owned()];
    Bars { label, axis: "processor time, ratio to the baseline", unit: "", digits: 2, notes: &notes, bars: &bars }
        .draw()
}

#[test]
fn settings_page_is_up_to_date() {
    assert_generated("docs/operate/settings.md", &settings_page());
}

#[test]
fn commands_page_is_up_to_date() {
    assert_generated("docs/operate/commands.md", &commands_page());
}

#[test]
fn plot_of_ratios_is_up_to_date() {
    assert_generated("docs/throughput.svg", &plot_of_ratios());
}
