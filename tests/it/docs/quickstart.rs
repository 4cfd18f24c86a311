//! The commands of the quickstart, and of the pages that go on from there, executed as they stand there, except for the
//! address of the server.

use std::path::Path;
use std::process::{Command, Stdio};

use super::code;
use crate::support::server::TestServer;

/// The blocks of commands below `heading`.
fn script(page: &str, heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, text) = text.split_once(heading).expect("the page has the heading");
    code(text).into_iter().filter(|code| code.language.as_deref() == Some("sh")).map(|code| code.text).collect()
}

#[tokio::test]
async fn quickstart_works_as_written() {
    let server = TestServer::embedded(|plan| plan);
    let here = server.plan().dir();
    let commands = script("start/quickstart.md", "## Your own server");
    let commands = commands.strip_prefix("signet\n").expect("first, the server is started");
    let commands =
        [commands, &script("build/sign-in.md", "# Sign in"), &script("build/claims.md", "# Claims")].concat();
    std::fs::create_dir(here.join("bin")).unwrap();
    let program = server.plan().command();
    let program = program.get_args().last().unwrap();
    std::os::unix::fs::symlink(program, here.join("bin/signet")).unwrap();
    let mut shell = Command::new("bash");
    let commands =
        format!("set -e\nPATH=bin:$PATH\n{}", commands.replace("http://127.0.0.1:8000", &server.signet.url_of("")));
    shell.args(["-c", &commands]).current_dir(here).env_clear().stdin(Stdio::null());
    let settings = server.plan().command();
    shell.envs(settings.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    // The user, the tokens, the valid token, the keys, other tokens, the same token after the sign-out, and then the user
    // of the second page.
    let mut rest = said.as_str();
    let results = [
        "you@example.org",
        "\"refresh_token\"",
        "\"active\":true",
        "\"keys\":[",
        "\"refresh_token\"",
        "\"active\":false",
        "\"zoe@example.org\"",
        "\"access_token\"",
    ];
    for result in results {
        let (_, after) = rest.split_once(result).unwrap_or_else(|| panic!("{result} is missing in {said}"));
        rest = after;
    }
}
