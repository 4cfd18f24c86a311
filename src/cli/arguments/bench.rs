//! The arguments of `signet bench`.

use clap::Args;

/// Options of `bench`.
#[derive(Args, Debug)]
#[command(
    after_help = "It starts a server on a loopback address and drives it over HTTP/1.1 without pauses, so server \
and client share this machine, and the latencies are those of a server that is fully used. Rate limits are off, and \
nothing is mailed. Sign-ins cost what [passwords] in config.toml says; the others cost about the same with any settings.

Without --config or --configured, it uses the default settings and an embedded store in a temporary folder \
(TMPDIR), which it deletes. With one of them it creates 64 users, seeded-9…@load.test, in the configured stores and \
deletes them with their sessions at the end; if it is killed, `signet seed --remove` deletes them. Their security \
events stay for as long as such events are kept.

Examples:
  signet bench
  signet --config config.toml bench --yes --seconds 30"
)]
pub struct Bench {
    /// How long to measure, in all.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub seconds: u32,
    /// Measure with the settings and the stores that a server would use here. `--config` means this too.
    #[arg(long)]
    pub configured: bool,
    /// Create users and sessions in the configured stores.
    #[arg(long)]
    pub yes: bool,
}
