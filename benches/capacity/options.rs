//! The options of the run, which all parts share.

use std::path::PathBuf;

use crate::support::cores::Cores;

pub(crate) struct Options {
    pub(crate) server: PathBuf,
    pub(crate) cores: Cores,
    pub(crate) quick: bool,
    /// How long `tail` takes.
    pub(crate) minutes: Option<u32>,
}
