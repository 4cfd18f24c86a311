//! The output of a start: a banner on a terminal, one log line elsewhere, and one line on stdout for scripts.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use super::*;
use crate::support::terminal::Terminal;
use crate::support::wait_until;

#[test]
fn the_banner_on_a_terminal_comes_before_everything_else() {
    // Dropping the plan removes the folder that the program runs in.
    let plan = Plan::embedded().set("SIGNET_LIMITS__ENABLED", "true");
    let mut command = plan.command();
    command.env("SIGNET_SERVER__LISTEN", "127.0.0.1:0").env("SIGNET_SERVER__MANAGEMENT", "off");
    let terminal = Terminal::start(command, true);
    terminal.wait_for("listening on http://127.0.0.1:");
    let screen = terminal.screen();
    let lines = screen.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    assert_eq!(lines[0], format!("Signet {}", env!("CARGO_PKG_VERSION")), "{screen}");
    for (line, start) in
        lines[1..].iter().zip(["Listening    http://127.0.0.1:", "Management   off", "Mail         files in "])
    {
        assert!(line.starts_with(start), "{screen}");
    }
    assert!(screen.contains("users create --email you@example.org --superuser"), "{screen}");
    // A thread writes the log, so its lines stand before the line `listening on` or after it. They are colored.
    let banner = lines.iter().take_while(|line| !line.contains("INFO") && !line.starts_with("listening on ")).count();
    assert!(lines[banner..].iter().any(|line| line.starts_with("listening on http://127.0.0.1:")), "{screen}");
    assert_eq!(lines[banner - 1], format!("open {}/docs", lines[1].split_whitespace().nth(1).unwrap()), "{screen}");
}

/// Without it, workers would wait for each line to be written, and traces would not be sent.
#[test]
fn the_log_has_its_thread_without_management() {
    let plan = Plan::embedded();
    let mut command = plan.command();
    command.env("SIGNET_SERVER__LISTEN", "127.0.0.1:0").env("SIGNET_SERVER__MANAGEMENT", "off");
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    let folder = format!("/proc/{}/task", server.id());
    let is_log = |thread: std::io::Result<std::fs::DirEntry>| {
        // A thread sets its name when it first runs. It may also have ended meanwhile.
        let name = thread.ok().and_then(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        name.is_some_and(|name| name.trim() == "log")
    };
    wait_until("a thread is named `log`", Duration::from_secs(60), || {
        std::fs::read_dir(&folder).is_ok_and(|mut threads| threads.any(is_log))
    });
    server.kill().unwrap();
    server.wait().unwrap();
}

/// The line of the log that says that the server listens.
fn log_line(server: &TestServer) -> Value {
    server.signet.wait_for_log("\"listening\"");
    let log = server.signet.log();
    let line = log.lines().find(|line| line.contains("\"listening\"")).unwrap();
    serde_json::from_str(line).unwrap()
}

#[tokio::test]
async fn the_log_names_the_embedded_store() {
    let server = TestServer::embedded(|plan| plan);
    let line = log_line(&server);
    assert_eq!((&line["stores"], &line["version"]), (&"sqlite".into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!(line["url"], server.signet.url_of(""));
    assert_eq!(line.get("embedded"), None);
}

#[tokio::test]
async fn the_log_names_redis_and_postgres() {
    let server = TestServer::redis_and_postgres(|plan| plan);
    assert_eq!(log_line(&server)["stores"], "redis, postgres");
}
