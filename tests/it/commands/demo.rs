//! `signet demo`: what it prints works as printed, and nothing is left of it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::support::client::client_builder;
use crate::support::until;

/// A running demo, with what it has printed. Its folder is in that of the plan.
struct Demo {
    plan: Plan,
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    printed: String,
}

impl Demo {
    /// Starts it, in an environment with settings that it must ignore, and reads until a line contains `last`.
    fn start(arguments: &[&str], last: &str) -> Self {
        let plan = Plan::embedded().set("REDIS_URL", "redis://127.0.0.1:1").set("SIGNET_LOG__FILTER", "nonsense=");
        let mut command = plan.command();
        command.args(arguments).args(["--listen", "127.0.0.1:0"]).env("TMPDIR", plan.dir());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut demo =
            Self { stdout: BufReader::new(child.stdout.take().unwrap()), plan, child, printed: String::new() };
        while !demo.printed.contains(last) {
            assert!(demo.stdout.read_line(&mut demo.printed).unwrap() > 0, "it ended: {}", demo.printed);
        }
        demo
    }

    /// The folders that the demo has made.
    fn folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.plan.dir()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Ends it by a signal. Returns the rest of what it prints.
    fn end(mut self, signal: Signal) -> String {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut rest = String::new();
        while self.stdout.read_line(&mut rest).unwrap() > 0 {}
        assert!(self.child.wait().unwrap().success(), "{rest}");
        assert_eq!(self.folders(), [""; 0].map(PathBuf::from), "{rest}");
        rest
    }

    /// The printed line that contains `text`.
    fn line(&self, text: &str) -> &str {
        self.printed
            .lines()
            .find(|line| line.contains(text))
            .unwrap_or_else(|| panic!("{text}: {}", self.printed))
            .trim()
    }

    /// Runs a printed command.
    fn run(&self, line: &str) -> String {
        let output = run_with_stdin(shell(&line.replacen("curl ", "curl --silent --show-error ", 1)), "");
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    command
}

fn is_folder_of_the_owner(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    folder.metadata().unwrap().permissions().mode() & 0o777 == 0o700
}

#[tokio::test]
async fn the_demo_works_as_printed_and_sigint_deletes_it() {
    let demo = Demo::start(&["demo"], "Ctrl-C ends");
    let folders = demo.folders();
    assert!(folders.len() == 1 && is_folder_of_the_owner(&folders[0]), "{folders:?}");
    assert!(demo.printed.contains(&folders[0].display().to_string()), "{}", demo.printed);
    let http = client_builder().build().unwrap();
    for name in ["Console ", "Account ", "API "] {
        let link = demo.line(name).split_whitespace().nth(1).unwrap();
        let page = http.get(link).send().await.unwrap();
        assert!(page.status() == 200 && page.text().await.unwrap().contains("<html"), "{link}");
    }

    // The commands as printed, with the token in its place.
    let tokens: Value = serde_json::from_str(&demo.run(demo.line("/sessions "))).unwrap();
    let verify = demo.line("/verify ").replace('…', tokens["access_token"].as_str().unwrap());
    let verified: Value = serde_json::from_str(&demo.run(&verify)).unwrap();
    assert_eq!((&verified["active"], &verified["claims"]["email"]), (&true.into(), &"ada@demo.test".into()));
    demo.run(demo.line("/codes "));
    let outbox = folders[0].join("data/outbox");
    let mails = || std::fs::read_dir(&outbox).into_iter().flatten().count();
    until("the code is in the outbox", async || mails() > 0).await;

    // The other printed passwords, that of the superuser with what it is for.
    let url = demo.line("Console ").split_whitespace().nth(1).unwrap().strip_suffix("/console").unwrap();
    for email in ["admin@demo.test", "grace@demo.test"] {
        let password = demo.line(&format!("{email}  ")).split_whitespace().nth(1).unwrap();
        let sign_in = http.post(format!("{url}/sessions"));
        let answer = sign_in.json(&json!({"email": email, "password": password})).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{email}");
        let tokens: Value = answer.json().await.unwrap();
        let overview = http.get(format!("{url}/admin/overview"));
        let overview = overview.bearer_auth(tokens["access_token"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(overview.status() == 200, email == "admin@demo.test", "{email}: {}", overview.status());
    }
    let rest = demo.end(Signal::INT);
    assert!(rest.contains("is deleted"), "{rest}");
}

#[test]
fn the_demo_as_json_ends_by_sigterm_and_by_a_closed_terminal() {
    for signal in [Signal::TERM, Signal::HUP] {
        let demo = Demo::start(&["--json", "demo"], "\n");
        let printed: Value = serde_json::from_str(&demo.printed).unwrap();
        assert_eq!(printed["users"].as_array().unwrap().len(), 3, "{printed}");
        assert_eq!(printed["account"], json!(format!("{}/account", printed["url"].as_str().unwrap())));
        assert_eq!(demo.end(signal), "");
    }
}

#[test]
fn the_demo_refuses_a_taken_address_and_other_stores() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let printed = refused(&Plan::embedded(), &["demo", "--listen", &address], 2);
    assert!(printed.contains(&address) && printed.contains("--listen"), "{printed}");
    let printed = refused(&Plan::embedded(), &["demo", "--set", "redis.url=redis://127.0.0.1:1"], 2);
    assert!(printed.contains("redis.url (--set)"), "{printed}");
}
