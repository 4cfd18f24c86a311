//! A real nginx in front of a folder of static pages, which asks Signet who may see them.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{signet::free_port, wait_until};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running nginx. Dropping it kills it.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Nginx {
    /// Starts one that serves `page` at `/` to whom `verify` (an address, its query demanding what is due) lets in.
    pub(crate) fn guarding(page: &str, verify: &str) -> Self {
        for _ in 0..20 {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let port = free_port();
            fs::create_dir(dir.path().join("pages")).expect("it is ours");
            fs::write(dir.path().join("pages/index.html"), page).expect("it is ours");
            open_to_everybody(dir.path());
            fs::write(dir.path().join("nginx.conf"), settings(dir.path(), port, verify)).expect("it is ours");
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--", "nginx", "-p"]).arg(dir.path());
            command.args(["-e", "error.log", "-c", "nginx.conf"]).stdout(Stdio::null()).stderr(Stdio::null());
            let child = command.spawn().expect("setpriv starts nginx: apt-get install util-linux nginx");
            let mut nginx = Self { child, port, dir };
            if nginx.listening() {
                return nginx;
            }
            let log = nginx.log();
            assert!(log.contains("Address already in use"), "nginx (apt-get install nginx) does not start: {log}");
        }
        panic!("no port is free");
    }

    fn listening(&mut self) -> bool {
        let mut ended = false;
        wait_until("nginx listens", PATIENCE, || {
            ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            ended || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        !ended
    }

    /// The address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it complains of.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One process, so that killing it kills all of it.
fn settings(dir: &Path, port: u16, verify: &str) -> String {
    let dir = dir.display();
    format!(
        "daemon off; master_process off; pid {dir}/pid;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
            uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
            server {{
                listen 127.0.0.1:{port};
                root {dir}/pages;
                location / {{
                    auth_request /_verify;
                    auth_request_set $subject $upstream_http_x_auth_subject;
                    auth_request_set $email $upstream_http_x_auth_email;
                    add_header x-seen-subject $subject;
                    add_header x-seen-email $email;
                }}
                location = /_verify {{
                    internal;
                    proxy_pass {verify};
                    proxy_pass_request_body off;
                    proxy_set_header content-length \"\";
                }}
            }}
        }}"
    )
}

/// nginx started by root reads as another user.
fn open_to_everybody(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("it is ours");
}
