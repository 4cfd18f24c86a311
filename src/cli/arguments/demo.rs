//! The arguments of `signet demo`.

use std::net::SocketAddr;

use clap::Args;

/// Options of `demo`.
#[derive(Args, Debug)]
#[command(after_help = "It reads neither config.toml nor the environment; `--set` changes its settings.

Examples:
  signet demo
  signet demo --listen 127.0.0.1:9000
  signet demo --set mail.service_name=Example")]
pub struct Demo {
    /// The address to listen on. Default: 127.0.0.1:8000, or another port if that is taken.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}
