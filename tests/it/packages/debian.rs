//! The Debian package, installed, started, upgraded, removed and purged in a copy of this machine.
//!
//! No systemd runs there. At first nothing looks like it either, as in a chroot; then a program in its place records
//! what the maintainer scripts ask for. The test starts the program as the unit says, without the sandbox.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::root::Root;
use super::{build, dead_links};
use crate::support::ports::free_port;
use crate::support::run_with_stdin;

/// Stands in for systemctl: records what it is asked to do, and answers whether the service is enabled and runs.
const SYSTEMCTL: &str = r#"#!/bin/sh
wanted=/etc/systemd/system/multi-user.target.wants/signet.service
for word; do
  case "$word" in
  -* | signet.service) continue ;;
  is-enabled) if [ -L "$wanted" ]; then echo enabled; else echo disabled; fi; exit ;;
  is-active) [ -e /run/active ]; exit ;;
  start | restart) touch /run/active ;;
  stop) rm -f /run/active ;;
  preset) mkdir -p "${wanted%/*}"; ln -sf /usr/lib/systemd/system/signet.service "$wanted" ;;
  daemon-reload) ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
  esac
  echo "$word" >>/run/systemctl.log
done
"#;

/// The words before a command line that make it run as the user of the service.
const AS_SIGNET: [&str; 6] = ["--reuid", "signet", "--regid", "signet", "--init-groups", "--"];

/// The command line and the variables of the installed unit, as `key=value`.
fn unit(root: &Root) -> (Vec<String>, Vec<String>) {
    let text = std::fs::read_to_string(root.path("/usr/lib/systemd/system/signet.service")).unwrap();
    let values = |key: &'static str| text.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='));
    assert_eq!(values("User").chain(values("Group")).collect::<Vec<_>>(), ["signet", "signet"]);
    let start = values("ExecStart").next().unwrap().split(' ').map(str::to_owned).collect();
    (start, values("Environment").map(str::to_owned).collect())
}

/// Starts the service as the unit says, and waits until it listens.
fn start(root: &Root) -> Child {
    let (line, variables) = unit(root);
    let mut command = root.command("setpriv");
    command.args(AS_SIGNET).args(["env", "-i", "--"]).args(variables).args(line);
    let mut service = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut printed = String::new();
    BufReader::new(service.stdout.take().unwrap()).read_line(&mut printed).unwrap();
    if !printed.starts_with("listening on ") {
        panic!("{}", String::from_utf8_lossy(&service.wait_with_output().unwrap().stderr));
    }
    service
}

/// Runs a command as the documentation says: as the user of the service, with its settings.
#[track_caller]
fn signet(root: &Root, words: &[&str], input: &str) -> String {
    let mut command = root.command("setpriv");
    command.args(AS_SIGNET).args(["signet", "--config", "/etc/signet/config.toml"]).args(words);
    let output = run_with_stdin(command, input);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn stop(mut service: Child) {
    service.kill().unwrap();
    service.wait().unwrap();
}

/// The requests to systemd since the last call, without repetitions.
fn requests(root: &Root) -> Vec<String> {
    let log = root.path("/run/systemctl.log");
    let mut actions: Vec<_> = std::fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect();
    let _ = std::fs::remove_file(log);
    actions.dedup();
    actions
}

#[test]
fn the_debian_package_is_installed_upgraded_and_purged() {
    let root = Root::new();
    for version in ["1.0-1", "2.0-1"] {
        let package = build("deb/build", &["--fast", "--version", version], &root.path("/tmp"));
        std::fs::rename(package, root.path(&format!("/tmp/{version}.deb"))).unwrap();
    }
    let wanted = "/etc/systemd/system/multi-user.target.wants/signet.service";

    // Without systemd: enabled for the next boot, and nothing is started.
    root.run("dpkg --install /tmp/1.0-1.deb");
    let facts = "stat --format '%n %U:%G %a' /etc/signet /etc/signet/config.toml /var/lib/signet /usr/bin/signet";
    let expected = [
        "/etc/signet root:signet 750",
        "/etc/signet/config.toml root:signet 640",
        "/var/lib/signet signet:signet 700",
        "/usr/bin/signet root:root 755",
    ];
    assert_eq!(root.run(facts).lines().collect::<Vec<_>>(), expected);
    let user = root.run("getent passwd signet");
    assert!(user.ends_with(":/var/lib/signet:/usr/sbin/nologin"), "{user}");
    assert!(root.run(&format!("readlink {wanted}")).ends_with("/systemd/system/signet.service"));
    assert!(root.run("dpkg-query --show --showformat '${Conffiles}' signet").contains("/etc/signet/config.toml"));
    assert_eq!(root.run("dpkg --verify signet"), "");
    assert!(root.run("zcat /usr/share/man/man1/signet.1.gz").contains("SYNOPSIS"));
    root.run("systemd-analyze verify --man=no signet.service");
    assert_eq!(dead_links(&root.path("/usr/share/doc/signet")), [""; 0]);
    root.run("test -s /usr/share/signet/prometheus/signet.rules.yml -a -s /usr/share/signet/grafana/signet.json");

    // The administrator changes the settings, and the service runs as its user.
    for (setting, port) in [("listen", free_port()), ("management", free_port())] {
        let line = format!("{setting} = \"127.0.0.1:{port}\"");
        root.run(&format!("sed -i 's/^{setting} = .*/{line}/' /etc/signet/config.toml"));
    }
    let settings = std::fs::read(root.path("/etc/signet/config.toml")).unwrap();
    let service = start(&root);
    assert_eq!(signet(&root, &["health"], ""), "ready\n");
    signet(&root, &["users", "create", "--email", "a@example.org", "--password-stdin"], "correct horse battery staple");
    assert_eq!(root.run("stat --format %U /var/lib/signet/* | sort -u"), "signet");
    stop(service);

    // With systemd, an upgrade restarts the service, and keeps the settings and the data.
    std::fs::create_dir_all(root.path("/run/systemd/system")).unwrap();
    std::fs::write(root.path("/usr/local/bin/systemctl"), SYSTEMCTL).unwrap();
    root.run("chmod +x /usr/local/bin/systemctl && touch /run/active && dpkg --install /tmp/2.0-1.deb");
    assert_eq!(requests(&root), ["daemon-reload", "restart"]);
    assert_eq!(std::fs::read(root.path("/etc/signet/config.toml")).unwrap(), settings);
    assert_eq!(root.run(facts).lines().collect::<Vec<_>>(), expected);
    assert_eq!(root.run("ls /etc/signet"), "config.toml");
    let service = start(&root);
    assert!(signet(&root, &["users", "list"], "").contains("a@example.org"));
    stop(service);

    // An upgrade leaves a disabled service disabled, and keeps owners that the administrator has chosen.
    root.run(&format!("rm {wanted} /run/active"));
    root.run("dpkg-statoverride --add --update root root 0600 /etc/signet/config.toml");
    root.run("dpkg --install /tmp/2.0-1.deb");
    assert!(
        root.path("/etc/systemd/system/multi-user.target.wants").join("signet.service").symlink_metadata().is_err()
    );
    assert_eq!(root.run("stat --format '%U:%G %a' /etc/signet/config.toml"), "root:root 600");
    assert_eq!(requests(&root), ["daemon-reload"]);

    // Removing keeps the settings and the data, purging deletes both. The user stays.
    root.run("dpkg --remove signet");
    assert_eq!(requests(&root), ["stop", "daemon-reload"]);
    assert!(!root.path("/usr/bin/signet").exists());
    assert!(root.path("/etc/signet/config.toml").exists() && root.path("/var/lib/signet").exists());
    root.run("touch /etc/signet/environment && dpkg --purge signet");
    assert!(!root.path("/etc/signet").exists() && !root.path("/var/lib/signet").exists());
    root.run("getent passwd signet");

    // It can be installed again, and is started.
    requests(&root);
    root.run("dpkg-statoverride --remove /etc/signet/config.toml && dpkg --install /tmp/1.0-1.deb");
    assert_eq!(root.run(facts).lines().collect::<Vec<_>>(), expected);
    assert_eq!(requests(&root), ["preset", "daemon-reload", "start"]);

    // Purging empties a disk that is mounted for the data.
    root.run("mount -t tmpfs disk /var/lib/signet && touch /var/lib/signet/signet.db && dpkg --purge signet");
    assert_eq!(root.run("ls -A /var/lib/signet"), "");
}
