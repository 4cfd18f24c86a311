//! The interface between the parts and the programs that measure them.

pub(crate) trait Bench {
    /// Measures a part. `run` executes the part once; every call does the same work.
    fn part(&mut self, name: &str, run: &mut dyn FnMut());
}
