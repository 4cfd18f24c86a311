//! A real nginx in front of static pages that authorizes each request with Signet.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{signet::free_port, wait_until};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A running nginx. Dropping it kills the process.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Nginx {
    /// Starts an nginx that serves `page` at `/` to clients that `verify` accepts (a URL; its query states the
    /// requirements).
    pub(crate) fn guarding(page: &str, verify: &str) -> Self {
        for _ in 0..20 {
            let dir = tempfile::tempdir().expect("a temporary folder");
            let port = free_port();
            fs::create_dir(dir.path().join("pages")).expect("the folder is writable");
            fs::write(dir.path().join("pages/index.html"), page).expect("the folder is writable");
            make_world_accessible(dir.path());
            fs::write(dir.path().join("nginx.conf"), settings(dir.path(), port, verify))
                .expect("the folder is writable");
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--", "nginx", "-p"]).arg(dir.path());
            command.args(["-e", "error.log", "-c", "nginx.conf"]).stdout(Stdio::null()).stderr(Stdio::null());
            let child = command.spawn().expect("setpriv starts nginx: apt-get install util-linux nginx");
            let mut nginx = Self { child, port, dir };
            if nginx.wait_until_listening() {
                return nginx;
            }
            let log = nginx.log();
            assert!(log.contains("Address already in use"), "nginx (apt-get install nginx) does not start: {log}");
        }
        panic!("no port is free");
    }

    fn wait_until_listening(&mut self) -> bool {
        let mut exited = false;
        wait_until("nginx listens", TIMEOUT, || {
            exited = self.child.try_wait().is_ok_and(|status| status.is_some());
            exited || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        !exited
    }

    /// The URL of a path.
    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The error log.
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

/// The configuration. A single process, so that killing it leaves no workers behind.
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

/// Makes the folder accessible to everyone: an nginx started by root reads files as another user.
fn make_world_accessible(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("the folder is writable");
}
