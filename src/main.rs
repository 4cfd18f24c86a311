//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    signet::cli::run(&signet::program::Signet, std::env::args_os())
}
