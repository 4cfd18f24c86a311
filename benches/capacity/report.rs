//! The figures, each with its aim where it has one: a table for people, `report.json` for the rest.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::Bench;
use crate::support::machine::Machine;

#[derive(Serialize)]
pub(crate) struct Report {
    machine: Machine,
    server: String,
    quick: bool,
    figures: Vec<Figure>,
}

#[derive(Serialize)]
struct Figure {
    part: &'static str,
    what: String,
    measured: f64,
    unit: &'static str,
    aim: Option<Aim>,
    met: Option<bool>,
}

/// What a figure should be.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Report {
    pub(crate) fn new(bench: &Bench) -> Self {
        Self {
            machine: Machine::look(&bench.cores),
            server: bench.server.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            quick: bench.quick,
            figures: Vec::new(),
        }
    }

    /// Notes a figure, and says it.
    pub(crate) fn note(
        &mut self,
        part: &'static str,
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        aim: impl Into<Option<Aim>>,
    ) {
        let (what, aim) = (what.into(), aim.into());
        let met = aim.map(|aim| match aim {
            Aim::AtLeast(least) => measured >= least,
            Aim::AtMost(most) => measured <= most,
        });
        let (aimed, verdict) = match (aim, met) {
            (Some(Aim::AtLeast(least)), Some(met)) => (format!("≥ {least}"), if met { "met" } else { "missed" }),
            (Some(Aim::AtMost(most)), Some(met)) => (format!("≤ {most}"), if met { "met" } else { "missed" }),
            _ => (String::new(), ""),
        };
        println!("{part:<9} {what:<62} {measured:>12.2} {unit:<8} {aimed:<10} {verdict}");
        self.figures.push(Figure { part, what, measured, unit, aim, met });
    }

    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("the folder can be made");
        let file = folder.join("report.json");
        fs::write(&file, serde_json::to_vec_pretty(self).expect("it serialises")).expect("it can be written");
        println!("{}", file.display());
    }
}
