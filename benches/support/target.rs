//! The target of a figure, for both reports.

use std::fmt;

use serde::Serialize;

/// The bound that a figure should keep.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    pub(crate) fn is_met(self, measured: f64) -> bool {
        match self {
            Self::AtMost(limit) => measured <= limit,
            Self::AtLeast(limit) => measured >= limit,
        }
    }

    pub(crate) fn limit(self) -> f64 {
        match self {
            Self::AtMost(limit) | Self::AtLeast(limit) => limit,
        }
    }
}

impl fmt::Display for Target {
    /// `≤ 1.15`. The precision of the format applies to the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtMost(_) => "≤ ",
            Self::AtLeast(_) => "≥ ",
        })?;
        fmt::Display::fmt(&self.limit(), f)
    }
}
