//! The figures with their targets: a table on stdout, and `report.json`.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::options::Options;
use crate::support::machine::Machine;
use crate::support::target::Target;

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
    title: String,
    measured: f64,
    unit: &'static str,
    target: Option<Target>,
    met: Option<bool>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            machine: Machine::inspect(&options.cores),
            server: options.server.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            quick: options.quick,
            figures: Vec::new(),
        }
    }

    /// Adds a figure and prints it.
    pub(crate) fn add(
        &mut self,
        part: &'static str,
        title: impl Into<String>,
        measured: f64,
        unit: &'static str,
        target: impl Into<Option<Target>>,
    ) {
        let (title, target) = (title.into(), target.into());
        let met = target.map(|target| target.is_met(measured));
        let target_text = target.map_or_else(String::new, |target| target.to_string());
        let verdict = met.map_or("", |met| if met { "met" } else { "not met" });
        println!("{part:<9} {title:<62} {measured:>12.2} {unit:<8} {target_text:<10} {verdict}");
        self.figures.push(Figure { part, title, measured, unit, target, met });
    }

    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("the folder can be created");
        let file = folder.join("report.json");
        fs::write(&file, serde_json::to_vec_pretty(self).expect("a report serializes"))
            .expect("the report can be written");
        println!("{}", file.display());
    }
}
