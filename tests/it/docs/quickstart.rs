//! The commands of README, of the quickstart and of the pages that go on from there, executed as they stand there,
//! except for the address of the server and the place of the program.

use std::path::Path;
use std::process::{Command, Stdio};

use super::code;
use crate::support::server::TestServer;

/// The blocks of commands below `heading` of a page, whose path begins at docs/.
fn script(page: &str, heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, text) = text.split_once(heading).expect("the page has the heading");
    code(text).into_iter().filter(|code| code.language.as_deref() == Some("sh")).map(|code| code.text).collect()
}

/// Runs commands beside a new server. They must succeed, and print `results` in this order.
fn assert_prints(commands: &str, results: &[&str]) {
    let server = TestServer::embedded(|plan| plan);
    let here = server.plan().dir();
    std::fs::create_dir(here.join("bin")).unwrap();
    let program = server.plan().command();
    let program = program.get_args().last().unwrap();
    std::os::unix::fs::symlink(program, here.join("bin/signet")).unwrap();
    let mut shell = Command::new("bash");
    let url = server.signet.url_of("");
    let commands = commands.replace("127.0.0.1:8000", url.trim_start_matches("http://"));
    let commands = format!("set -e\nPATH=bin:$PATH\n{}", commands.replace("./target/release/signet", "signet"));
    shell.args(["-c", &commands]).current_dir(here).env_clear().stdin(Stdio::null());
    let settings = server.plan().command();
    shell.envs(settings.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let mut rest = said.as_str();
    for result in results {
        let (_, after) = rest.split_once(result).unwrap_or_else(|| panic!("{result} is missing in {said}"));
        rest = after;
    }
}

/// The user, the tokens, the valid token, the keys, other tokens, the sign-out, and the same token after it.
const FIRST_RESULTS: [&str; 7] = [
    "you@example.org",
    "\"refresh_token\"",
    "\"active\":true",
    "\"keys\":[",
    "\"refresh_token\"",
    "\"ended\":",
    "\"active\":false",
];

#[tokio::test]
async fn five_minutes_of_readme_work_as_written() {
    assert_prints(&script("../README.md", "## Five minutes"), &FIRST_RESULTS);
}

#[tokio::test]
async fn quickstart_works_as_written() {
    let commands = script("start/quickstart.md", "## Your own server");
    let commands = commands.strip_prefix("signet\n").expect("first, the server is started");
    let commands =
        [commands, &script("build/sign-in.md", "# Sign in"), &script("build/claims.md", "# Claims")].concat();
    // Then the user of the second page.
    assert_prints(&commands, &[&FIRST_RESULTS[..], &["\"zoe@example.org\"", "\"access_token\""]].concat());
}
