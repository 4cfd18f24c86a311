//! `signet demo`: a server with a few users, everything in a temporary folder that is deleted when it ends.
//!
//! It reads neither a file nor the environment, and flags cannot name a server with a password, so it cannot touch a
//! store that somebody has configured.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use serde::Serialize;
use tempfile::TempDir;

use super::arguments::Demo;
use super::output::Output;
use super::{CliError, Settings};
use crate::auth::accounts::create::{CreateUser, create_user_as_operator};
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::config::Config;
use crate::encoding::crockford_base32;
use crate::node::serve::{Running, serve_during};

/// The address without `--listen`: that of a server.
const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8000);

/// The users: address, full name, roles, whether superuser. The domain is reserved for tests (RFC 6761).
const USERS: [(&str, &str, &[&str], bool); 3] = [
    ("admin@demo.test", "Demo Admin", &[], true),
    ("ada@demo.test", "Ada Lovelace", &["editor"], false),
    ("grace@demo.test", "Grace Hopper", &[], false),
];

/// The user who signs in in the printed commands.
const FIRST: usize = 1;

/// The parts of the demo, as printed.
#[derive(Serialize)]
struct DemoRecord {
    url: String,
    console: String,
    account: String,
    docs: String,
    folder: String,
    users: Vec<DemoUser>,
}

#[derive(Serialize)]
struct DemoUser {
    email: &'static str,
    password: String,
    superuser: bool,
}

pub(super) fn run(
    options: &Demo,
    load: impl FnOnce(Settings) -> Result<Config, CliError>,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let address = choose_address(options.listen)?;
    let folder = temporary_folder("signet-demo-")?;
    let config = load(Settings::Default(settings(address, &folder)))?;
    serve_during(config, async |running: Running<'_>| {
        let users = create_users(running.ctx).await?;
        print(&record(running.ctx, &folder, users), output)?;
        running.stop.requested().await;
        Ok::<_, CliError>(())
    })?;
    let shown = folder.path().display().to_string();
    folder.close().map_err(CliError::io(format!("deleting {shown}")))?;
    output.note(&format!("The demo has ended, and {shown} is deleted."))
}

/// An address that is free now. Without `--listen` another port replaces one that is taken: the links have it.
fn choose_address(wanted: Option<SocketAddr>) -> Result<SocketAddr, CliError> {
    let bind = |address: SocketAddr| TcpListener::bind(address).and_then(|listener| listener.local_addr());
    let preferred = wanted.unwrap_or(ADDRESS.into());
    let bound = match bind(preferred) {
        Err(error) if wanted.is_none() && error.kind() == ErrorKind::AddrInUse => bind((ADDRESS.0, 0).into()),
        bound => bound,
    };
    bound.map_err(|error| CliError::Usage {
        problem: format!("cannot listen on {preferred}: {error}"),
        remedy: "choose another address with --listen".to_owned(),
    })
}

/// A folder that only this user can read, deleted when it is dropped.
pub(super) fn temporary_folder(prefix: &str) -> Result<TempDir, CliError> {
    let folder = tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o700)).tempdir();
    folder.map_err(|error| CliError::Failed {
        problem: format!("creating a temporary folder: {error}"),
        remedy: "set TMPDIR to a folder that can be written".to_owned(),
    })
}

/// One listener for everything, so that one link is enough. The log has warnings only, because the terminal shows the
/// links, and none about the end.
fn settings(address: SocketAddr, folder: &TempDir) -> Vec<String> {
    let public = if address.ip().is_unspecified() { (Ipv4Addr::LOCALHOST, address.port()).into() } else { address };
    vec![
        format!("server.listen={address}"),
        format!("server.public_url=http://{public}"),
        "server.management=off".to_owned(),
        "console.listener=public".to_owned(),
        format!("data_dir={}", folder.path().join("data").display()),
        "log.filter=warn,signet::telemetry::health=error".to_owned(),
    ]
}

async fn create_users(ctx: &Context) -> Result<Vec<DemoUser>, CliError> {
    let mut users = Vec::new();
    for (email, full_name, roles, superuser) in USERS {
        let password = generate_password(ctx);
        let user = CreateUser {
            email: email.to_owned(),
            full_name: Some(full_name.to_owned()),
            password: Some(Password::new(password.clone())),
            verified: true,
            superuser,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..CreateUser::default()
        };
        create_user_as_operator(ctx, user).await?;
        users.push(DemoUser { email, password, superuser });
    }
    Ok(users)
}

/// 75 random bits in three groups, to be read from a terminal.
fn generate_password(ctx: &Context) -> String {
    let random = ctx.node.rng.bytes::<15>();
    random.chunks(5).map(|group| crockford_base32(group).collect()).collect::<Vec<String>>().join("-")
}

fn record(ctx: &Context, folder: &TempDir, users: Vec<DemoUser>) -> DemoRecord {
    let url = format!("{}{}", ctx.node.config.server.public_url, ctx.node.config.api.native.prefix);
    DemoRecord {
        console: format!("{url}/console"),
        account: format!("{url}/account"),
        docs: format!("{url}/docs"),
        folder: folder.path().display().to_string(),
        users,
        url,
    }
}

fn print(demo: &DemoRecord, output: &mut Output<'_>) -> Result<(), CliError> {
    if output.is_json() {
        return output.json_line(demo);
    }
    let DemoRecord { url, console, account, docs, folder, users } = demo;
    let first = &users[FIRST];
    let width = users.iter().map(|user| user.email.len()).max().unwrap_or(0);
    let users = users.iter().map(|DemoUser { email, password, superuser }| {
        format!("    {email:width$}  {password}{}", if *superuser { "  (superuser)" } else { "" })
    });
    let users = users.collect::<Vec<_>>().join("\n");
    let json = "-H 'content-type: application/json'";
    output.line(&format!(
        r#"
  Signet {version}: a demo, with everything in {folder}

  Console   {console}  (for the superuser)
  Account   {account}
  API       {docs}

  Users, with their passwords:
{users}

  First, sign in, and verify the access token that you get:
    curl {url}/sessions {json} -d '{{"email":"{email}","password":"{password}"}}'
    curl {url}/verify {json} -d '{{"token":"…"}}'

  Mail is not sent: the console shows it. This mails a code:
    curl {url}/codes {json} -d '{{"email":"{email}"}}'

  Ctrl-C ends the demo and deletes its data.
"#,
        version = env!("CARGO_PKG_VERSION"),
        email = first.email,
        password = first.password,
    ))
}
