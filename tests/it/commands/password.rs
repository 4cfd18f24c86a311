//! `--password-stdin` on a terminal prompts, does not show the password, and restores the terminal.

use super::*;
use crate::support::terminal::Terminal;

const EMAIL: &str = "typed@example.org";

fn prompt(plan: &Plan) -> Terminal {
    let mut command = plan.command();
    command.args(["users", "create", "--email", EMAIL, "--password-stdin"]);
    let terminal = Terminal::start(command, false);
    terminal.wait_for("Password: ");
    crate::support::wait_until("echo is off", std::time::Duration::from_secs(60), || !terminal.echoes());
    terminal
}

#[tokio::test]
async fn a_typed_password_is_not_shown() {
    let server = TestServer::embedded(|plan| plan);
    let mut terminal = prompt(server.plan());
    terminal.type_keys(&format!("{PASSWORD}\r"));
    assert!(terminal.wait().success(), "{}", terminal.screen());
    assert!(!terminal.screen().contains(PASSWORD), "{}", terminal.screen());
    assert!(terminal.echoes(), "the terminal is restored");
    server.try_sign_in(EMAIL, PASSWORD).await.is(201);
}

#[test]
fn ctrl_c_creates_nobody_and_restores_the_terminal() {
    let plan = Plan::embedded();
    let mut terminal = prompt(&plan);
    terminal.type_keys("half a pass\u{3}");
    assert_eq!(terminal.wait().code(), Some(1), "{}", terminal.screen());
    // Not read yet, maybe, when the program has ended.
    terminal.wait_for("no password was entered");
    assert!(terminal.echoes(), "the terminal is restored");
    assert!(!plan.dir().join("data").exists(), "a store was created");
}

#[test]
fn an_empty_password_is_refused() {
    let plan = Plan::embedded();
    let mut terminal = prompt(&plan);
    terminal.type_keys("\r");
    assert_eq!(terminal.wait().code(), Some(2), "{}", terminal.screen());
    assert!(terminal.echoes(), "the terminal is restored");
    assert!(!plan.dir().join("data").exists(), "a store was created");
}

#[test]
fn a_password_that_is_refused_creates_no_store() {
    let plan = Plan::embedded();
    let output = plan.run(&["users", "create", "--email", EMAIL, "--password-stdin"], "short");
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("invalid password"), "{output:?}");
    assert!(!plan.dir().join("data").exists(), "a store was created");
}
