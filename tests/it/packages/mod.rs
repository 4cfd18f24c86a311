//! The packages in `packaging`, built from the program that the tests test.

mod chart;
mod debian;
mod root;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::docs::{pages_below, targets};

/// The program that is tested.
#[allow(clippy::disallowed_methods, reason = "SIGNET_BIN selects another binary")]
fn program() -> PathBuf {
    let program = std::env::var_os("SIGNET_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_signet").into());
    std::path::absolute(program).unwrap()
}

/// Runs a script of `packaging`, which must succeed, and returns the path that it printed.
#[track_caller]
fn build(script: &str, arguments: &[&str], output: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(script);
    let mut command = Command::new(script);
    command.arg("--binary").arg(program()).arg("--output").arg(output).args(arguments);
    let built = command.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    String::from_utf8(built.stdout).unwrap().trim_end().into()
}

/// The relative links in the documents of a package that lead to no file of it.
fn dead_links(folder: &Path) -> Vec<String> {
    let (mut link_count, mut dead) = (0, Vec::new());
    for page in pages_below(folder.to_owned()) {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in targets(&text).filter(|target| !target.contains("://")) {
            link_count += 1;
            let file = target.split('#').next().unwrap();
            if !page.with_file_name(file).exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(link_count > 20, "only {link_count} links were found");
    dead
}

#[test]
fn the_archive_has_what_its_installation_needs() {
    let folder = tempfile::tempdir().unwrap();
    let archive = build("archive/build", &["--allow-dynamic"], folder.path());
    let name = format!("signet-{}-x86_64-linux-musl", env!("CARGO_PKG_VERSION"));
    assert_eq!(archive.file_name().unwrap().to_str().unwrap(), format!("{name}.tar.gz"));
    let unpacked = Command::new("tar").arg("-xzf").arg(&archive).current_dir(&folder).status().unwrap();
    assert!(unpacked.success());
    let inside = folder.path().join(name);
    for file in [
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "README.md",
        "docs/README.md",
        "man/signet.1",
        "man/signet-users-create.1",
        "completions/signet.bash",
        "completions/_signet",
        "completions/signet.fish",
        "prometheus/signet.rules.yml",
        "prometheus/signet.rules.test.yml",
        "grafana/signet.json",
    ] {
        assert!(inside.join(file).metadata().unwrap().len() > 500, "{file}");
    }
    assert_eq!(dead_links(&inside), [""; 0]);
    let unit = std::fs::read_to_string(inside.join("signet.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/signet --config /etc/signet/config.toml\n"));
    let shown = Command::new(inside.join("signet"))
        .args(["--config", "config.toml", "config", "show", "--changed"])
        .env_clear()
        .current_dir(&inside)
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("data_dir") && shown.contains("/var/lib/signet"), "{shown}");
}

#[test]
fn the_archive_takes_no_dynamic_program() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/archive/build");
    let refused = Command::new(script).arg("--binary").arg(program()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("is not static"));
}

/// The highest exposure that `systemd-analyze security` may report, of 100. Signet needs the network, a writable folder
/// and `setpriority`.
const MAX_EXPOSURE: &str = "15";

#[test]
fn the_unit_of_systemd_exposes_little() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/signet.service");
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold", MAX_EXPOSURE])
        .arg(unit)
        .output()
        .expect("`systemd-analyze` runs: apt-get install systemd");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}
