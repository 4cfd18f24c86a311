//! The command line: [`Arguments`] is what can be typed, each file one noun of it. Words results and failures for
//! people and scripts; whatever changes something is asked of a [`Program`] or its [`House`]. Knows no store by name.

mod api_keys;
mod arguments;
mod check;
mod failure;
mod house;
mod keys;
mod output;
mod record;
mod seed;
#[cfg(test)]
mod tests;
mod users;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use api_keys::NewApiKey;
pub use arguments::{Arguments, Command};
pub use failure::CliError;
pub use house::{Applied, House, NewAccount, Program};
pub use keys::Key;
pub use record::Record;
pub use seed::NewSession;

use crate::config::Config;
use output::Output;

/// Runs what was typed after the program's name, and says how it went: 0 done, 1 failed, 2 asked for in a way that cannot
/// be done (arguments, settings).
pub fn run(program: &dyn Program, typed: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(typed) {
        Ok(arguments) => arguments,
        // Help and version come this way too, with 0.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let Arguments { config, set, json, command } = arguments;
    let load = || Config::load(config.as_deref(), &set).map_err(CliError::from);
    // Not locked: the server writes from other threads.
    let mut to = io::stdout();
    match dispatch(program, command.unwrap_or(Command::Serve), load, &mut Output::new(&mut to, json)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough: `signet users list | head`.
        Err(CliError::Io { cause, .. }) if cause.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = io::stderr().write_all(failure.worded(json).as_bytes());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(
    program: &dyn Program,
    command: Command,
    load: impl FnOnce() -> Result<Config, CliError>,
    output: &mut Output<'_>,
) -> Result<(), CliError> {
    match command {
        Command::Serve => program.serve(load()?),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "signet", &mut script);
            output.text(&script)
        }
        Command::Migrate => {
            let config = load()?;
            block_on(async { output.rows(&program.migrate(&config).await?, house::COLUMNS_OF_APPLIED) })
        }
        Command::Check => {
            let config = load()?;
            block_on(check::run(program, &config, output))
        }
        Command::Users { command } => {
            let config = load()?;
            block_on(async { users::run(command, &*program.open(&config).await?, output).await })
        }
        Command::Keys { command } => {
            let config = load()?;
            block_on(async { keys::run(command, &*program.open(&config).await?, output).await })
        }
        Command::ApiKeys { command } => {
            let config = load()?;
            block_on(async { api_keys::run(command, &*program.open(&config).await?, output).await })
        }
        Command::Seed(wanted) => {
            let config = load()?;
            let most = config.tokens.sessions_per_user;
            block_on(async { seed::run(wanted, most, &*program.open(&config).await?, output).await })
        }
    }
}

/// Commands other than `serve` do one thing after another: one thread is enough.
fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| CliError::Io { doing: "starting a runtime".to_owned(), cause })?;
    runtime.block_on(work)
}
