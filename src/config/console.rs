//! The settings of the console.

use super::Config;

/// The console at `/console`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// The listener that serves it.
    pub listener: ConsoleListener,
}

impl Config {
    /// True if `listener` serves the console, which calls the native API.
    pub fn serves_console_on(&self, listener: ConsoleListener) -> bool {
        self.console.listener == listener && self.api.native.enabled
    }
}

/// The listener that serves the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleListener {
    /// `server.management`, with the calls of the native API that the console makes.
    Management,
    /// `server.listen`.
    Public,
    /// None.
    Off,
}
