//! The verifiers in `clients/`, each tested by the tools of its language and against a running server, and a client of
//! the OAuth endpoints.

mod js;
mod oauth4webapi;
mod python;
mod rust;

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::NO_PROXY;
use crate::support::every_token::TokenSet;
use crate::support::ports::free_port;
use crate::support::server::{PASSWORD, TestServer};

/// Runs commands at the same time.
///
/// # Panics
/// If one of them fails.
fn run_all(commands: Vec<Command>) {
    let spawn = |mut command: Command| {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        (command, child)
    };
    let running = commands.into_iter().map(spawn).collect::<Vec<_>>();
    for (command, child) in running {
        let output = child.wait_with_output().expect("the command ends");
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "{command:?}:\n{text}");
    }
}

/// A server and what the programs of all languages need to know of it, which is in their environment.
struct DescribedServer {
    server: TestServer,
    url: String,
    set: TokenSet,
    users: Vec<String>,
}

/// A server and its URL, which is its issuer: verifiers find it there, also after a restart.
fn start_at_its_url() -> (TestServer, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let server =
        TestServer::embedded(|plan| plan.set("SIGNET_SERVER__LISTEN", &address).set("SIGNET_SERVER__PUBLIC_URL", &url));
    (server, url)
}

impl DescribedServer {
    async fn start() -> Self {
        let (server, url) = start_at_its_url();
        let set = TokenSet::make(&server).await;
        let users = (0..5).map(|_| server.create_user(&[]).email).collect();
        Self { server, url, set, users }
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    /// If it fails.
    async fn run(mut self, mut command: Command) {
        let tokens =
            self.set.tokens.iter().map(|token| json!({"kind": format!("{:?}", token.kind), "text": token.text}));
        let folder = tempfile::tempdir().expect("a temporary folder");
        command
            .envs(NO_PROXY)
            .env("SIGNET_URL", &self.url)
            .env("SIGNET_PASSWORD", PASSWORD)
            .env("SIGNET_USERS", json!(self.users).to_string())
            .env("SIGNET_TOKENS", json!(tokens.collect::<Vec<_>>()).to_string())
            .env("SIGNET_API_KEY", &self.set.owner.key)
            .env("SIGNET_CONTROL", folder.path());
        let program = command.spawn().expect("the program starts");
        assert!(wait_and_obey(program, folder.path(), &mut self.server).await.success());
    }
}

/// Waits for the end of a program that has commands carried out: it writes one to the file `command`, which is removed
/// when that is done. `["restart"]` restarts the server, `["freeze"]` makes it silent and `["thaw"]` ends that; others are
/// arguments of the command line.
async fn wait_and_obey(mut program: Child, folder: &Path, server: &mut TestServer) -> ExitStatus {
    let file = folder.join("command");
    loop {
        if let Some(status) = program.try_wait().expect("it is a child of this process") {
            return status;
        }
        if let Ok(text) = std::fs::read_to_string(&file) {
            let command = serde_json::from_str::<Vec<String>>(&text).expect("a list of texts");
            match command.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["restart"] => {
                    server.signet.kill();
                    server.restart();
                }
                ["freeze"] => server.signet.freeze(),
                ["thaw"] => server.signet.thaw(),
                arguments => drop(server.plan().json(arguments, "")),
            }
            std::fs::remove_file(&file).expect("the file can be removed");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
