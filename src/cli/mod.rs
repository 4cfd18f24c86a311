//! The command line: parses arguments, calls operations, prints results and errors for people and scripts.
//!
//! [`Arguments`] defines the syntax; each other file implements the commands of one noun. Apart from `serve`, `demo`,
//! `bench`, `migrate`, `check`, `backup` and `restore`, a command opens the stores as a node without workers
//! ([`build_command_context`]) and calls the operations of [`auth`](crate::auth) directly. It works beside running
//! servers. A command that ends sessions, users or keys returns only when they have applied the change (`propagation`).
//! Must not know which stores are configured.

mod api_keys;
mod arguments;
mod audit;
mod backup;
mod bench;
mod check;
mod config;
mod demo;
mod error;
mod health;
mod keys;
mod mail;
mod migrate;
mod needs;
mod output;
mod propagation;
mod seed;
mod sessions;
mod terminal;
#[cfg(test)]
mod tests;
mod users;
mod verify;

use std::env::ArgsOs;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use arguments::{Arguments, Command};
pub use error::CliError;

use crate::auth::context::Context;
use crate::clock::Clock;
use crate::config::{Config, Log};
use crate::node::build::{Needs, build_command_context};
use crate::node::events;
use crate::node::serve::serve;
use crate::telemetry::logs::Logs;
use needs::needs;
use output::Output;

/// The log filter of commands: security events, and that some did not reach the webhook. The command itself reports
/// failures of stores and mails.
const LOGGED: &str = concat!(
    env!("CARGO_CRATE_NAME"),
    "::auth=info,",
    env!("CARGO_CRATE_NAME"),
    "::audit=info,",
    env!("CARGO_CRATE_NAME"),
    "::node::webhook=info"
);

/// Runs the command line and returns the exit code: see [`CliError::exit_code`].
///
/// Not generic: the compiler would generate all code below it once more for the program, which took longer to build and
/// was larger.
pub fn run(args: ArgsOs) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        // `--help` and `--version` are errors to clap as well, with exit code 0.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let Arguments { config, set, json, command } = arguments;
    let mut command = command.unwrap_or(Command::Serve);
    if let Command::Bench(options) = &mut command {
        options.configured |= config.is_some();
    }
    let load = |from: Settings| {
        let loaded = match from {
            Settings::Configured => Config::load(config.as_deref(), &set),
            Settings::Default(flags) => Config::from_flags(&[&flags[..], &set].concat()),
        };
        loaded.map_err(CliError::from)
    };
    // Not locked, because the server writes to stdout from other threads.
    let mut stdout = io::stdout();
    match dispatch(command, load, start_log, &mut Output::new(&mut stdout, json)) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has closed the pipe, as in `signet users list | head`.
        Err(CliError::Io { cause, .. }) if cause.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = io::stderr().write_all(error.render(json).as_bytes());
            ExitCode::from(error.exit_code())
        }
    }
}

/// The settings of a command.
enum Settings {
    /// The file, the environment and `--set`, as a server uses them.
    Configured,
    /// The defaults, changed by these `key=value` flags, and `--set`, which overrides both.
    Default(Vec<String>),
}

fn dispatch(
    command: Command,
    load: impl Fn(Settings) -> Result<Config, CliError>,
    start_log: StartLog,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    let needs = needs(&command);
    let config = || load(Settings::Configured);
    let node = || Ok::<_, CliError>(CommandNode { config: config()?, needs, start_log });
    match command {
        Command::Serve => Ok(serve(config()?)?),
        Command::Demo(options) => demo::run(&options, &load, output),
        Command::Bench(options) => bench::run(&options, &load, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "signet", &mut script);
            output.text(&script)
        }
        Command::Man { directory } => clap_mangen::generate_to(Arguments::command(), &directory)
            .map_err(CliError::io(format!("writing the manual pages to {}", directory.display()))),
        Command::Health { alive, timeout } => health::run(alive, timeout, &config()?, output),
        Command::Backup(options) => backup::run(&options, &config()?, output),
        Command::Restore(options) => backup::restore(&options, &config()?, start_log, output),
        Command::Migrate => block_on(migrate::run(&config()?, output)),
        Command::Check => block_on(check::run(&config()?, output)),
        Command::Users { command } => users::run(command, node()?, output),
        Command::Keys { command } => keys::run(command, node()?, output),
        Command::ApiKeys { command } => node()?.run(async |ctx: &Context| api_keys::run(command, ctx, output).await),
        Command::Sessions { command } => node()?.run(async |ctx: &Context| sessions::run(command, ctx, output).await),
        Command::Audit(options) => node()?.run(async |ctx: &Context| audit::run(options, ctx, output).await),
        Command::Verify { token } => node()?.run(async |ctx: &Context| verify::run(&token, ctx, output).await),
        Command::Mail { command } => mail::run(&command, node()?, output),
        Command::Config { command } => config::run(&command, &config()?, output),
        Command::Seed(options) => seed::run(&options, node()?, output),
    }
}

/// [`start_log`], or a function that starts none.
type StartLog = fn(&Config) -> Result<Option<Logs>, CliError>;

/// Starts the log of a command. A process has one log, so a test that runs several commands starts none.
fn start_log(config: &Config) -> Result<Option<Logs>, CliError> {
    let log = Log { filter: LOGGED.to_owned(), otlp_endpoint: None, ..config.log.clone() };
    let logs = Logs::start(&log, Clock::system()).map_err(io::Error::other);
    logs.map(Some).map_err(CliError::io("starting the log"))
}

/// The node without workers of a command that calls operations. A command checks its arguments first, because opening the
/// stores may create one.
struct CommandNode {
    config: Config,
    needs: Needs,
    start_log: StartLog,
}

impl CommandNode {
    /// Runs a command. The operations log to stderr what a server would log of them, and their security events are
    /// stored before the command ends.
    fn run(self, command: impl AsyncFnOnce(&Context) -> Result<(), CliError>) -> Result<(), CliError> {
        let _logs = (self.start_log)(&self.config)?;
        block_on(async {
            let ctx = build_command_context(self.config, self.needs).await?;
            let result = command(&ctx).await;
            events::flush(&ctx).await;
            result
        })
    }
}

/// Runs a command on a single-threaded runtime: a command has no parallel work.
fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliError::io("starting the async runtime"))?;
    runtime.block_on(work)
}
