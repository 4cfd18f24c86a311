//! The last superuser is disabled or deleted only after a question, or with `--yes`.

use super::*;
use crate::support::terminal::Terminal;

const ROOT: &str = "root@example.org";

fn with_one_superuser() -> Plan {
    let plan = Plan::embedded();
    plan.create_user(ROOT, PASSWORD, &["--superuser"]);
    plan.create_user("person@example.org", PASSWORD, &[]);
    plan
}

#[test]
fn without_a_terminal_the_command_refuses() {
    let plan = with_one_superuser();
    for action in ["disable", "delete"] {
        let printed = refused(&plan, &["users", action, ROOT], 1);
        assert!(printed.contains("last superuser") && printed.contains("--yes"), "{printed}");
    }
    assert_eq!(plan.json(&["users", "show", ROOT], "")["disabled"], false);
}

#[test]
fn with_yes_the_command_goes_on() {
    let plan = with_one_superuser();
    assert_eq!(plan.json(&["users", "disable", ROOT, "--yes"], "")["disabled"], true);
    // A disabled superuser is none to lose.
    plan.json(&["users", "delete", ROOT], "");
}

#[test]
fn another_superuser_makes_the_question_unnecessary() {
    let plan = with_one_superuser();
    plan.create_user("other@example.org", PASSWORD, &["--superuser"]);
    plan.json(&["users", "disable", ROOT], "");
    assert!(refused(&plan, &["users", "delete", "other@example.org"], 1).contains("last superuser"));
    plan.json(&["users", "delete", "person@example.org"], "");
}

#[test]
fn on_a_terminal_the_command_asks() {
    let plan = with_one_superuser();
    for (answer, disabled) in [("\n", false), ("n\n", false), ("y\n", true)] {
        let mut command = plan.command();
        command.args(["users", "disable", ROOT]);
        let mut terminal = Terminal::start(command, false);
        terminal.wait_for("[y/N]");
        assert!(terminal.screen().contains("last superuser"), "{}", terminal.screen());
        terminal.type_keys(answer);
        assert_eq!(terminal.wait().success(), disabled, "{}", terminal.screen());
        assert_eq!(plan.json(&["users", "show", ROOT], "")["disabled"], disabled, "{answer:?}");
    }
}
