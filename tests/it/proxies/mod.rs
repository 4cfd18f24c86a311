//! The proxies of `docs/verify`, and those in front of Signet itself, configured exactly as their pages say, except for
//! addresses.

mod cases;
mod in_front;
mod service;
mod tls;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::ports::free_port;
use crate::support::wait_until;

const TIMEOUT: Duration = Duration::from_secs(60);

/// The addresses that the pages use.
const SIGNET: &str = "127.0.0.1:8000";
const SERVICE: &str = "127.0.0.1:3000";
const PORT: &str = "8080";

/// The code block of a page that has this file name in the line before it.
fn block(page: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (_, rest) = text.split_once(&format!("\n`{file}`")).unwrap_or_else(|| panic!("{page} has no {file}"));
    let (_, rest) = rest.split_once("```").unwrap();
    let (_, code) = rest.split_once('\n').unwrap();
    code.split_once("```").unwrap().0.to_owned()
}

/// A running proxy. Dropping it kills the process and its workers.
struct Proxy {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

/// How a proxy is installed and started.
struct Program {
    /// The page, from `docs/verify`.
    page: &'static str,
    /// The files of the page; the first one is the configuration.
    files: &'static [&'static str],
    /// The Debian package.
    package: &'static str,
    /// Completes the configuration, which is a part of a file for some programs.
    complete: fn(dir: &Path, block: &str) -> String,
    /// The command that runs in the folder with the files.
    command: fn(dir: &Path) -> Command,
}

impl Proxy {
    /// Starts the proxy with texts of its page replaced.
    fn start(program: &Program, replacements: &[(&str, &str)], other_files: &[(&str, &str)]) -> Self {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            make_world_accessible(dir.path());
            let port = free_port();
            for (number, file) in program.files.iter().enumerate() {
                let mut text = block(program.page, file);
                for (from, to) in replacements.iter().chain([&(PORT, port.to_string().as_str())]) {
                    text = text.replace(from, to);
                }
                let text = if number == 0 { (program.complete)(dir.path(), &text) } else { text };
                fs::write(dir.path().join(file), text).unwrap();
            }
            for (file, text) in other_files {
                fs::write(dir.path().join(file), text).unwrap();
            }
            let log = fs::File::create(dir.path().join("output.log")).unwrap();
            let command = (program.command)(dir.path());
            // A signal that programs pass on to their workers.
            let mut ended_with_the_test = Command::new("setpriv");
            ended_with_the_test.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
            ended_with_the_test.current_dir(dir.path()).env("HOME", dir.path()).process_group(0);
            ended_with_the_test.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
            let mut proxy = Self { child: ended_with_the_test.spawn().unwrap(), port, dir };
            if proxy.wait_until_listening() {
                return proxy;
            }
            let log = proxy.log().to_lowercase();
            let port_is_taken = log.contains("in use") || log.contains("cannot bind");
            assert!(port_is_taken, "{} (apt-get install {}) does not start: {log}", program.page, program.package);
        }
        panic!("no port is free");
    }

    /// Returns false if the process has exited.
    fn wait_until_listening(&mut self) -> bool {
        let mut exited = false;
        wait_until("the proxy listens", TIMEOUT, || {
            exited = self.child.try_wait().is_ok_and(|status| status.is_some());
            exited || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        !exited
    }

    fn url_of(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The output of the program.
    fn log(&self) -> String {
        let read = |file: &str| fs::read_to_string(self.dir.path().join(file)).unwrap_or_default();
        read("output.log") + &read("error.log")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the proxy's log:\n{}", self.log());
        }
        // The workers of Apache outlive it if it is killed alone.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Makes the folder accessible to everyone: programs started by root continue as another user.
fn make_world_accessible(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
}
