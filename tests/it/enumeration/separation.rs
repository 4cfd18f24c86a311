//! Whether two heaps of times can be told apart: the U test of Mann and Whitney, and the size of the effect. Knows nothing of what took
//! the times.
//!
//! Ranks and not means are compared: one answer that a busy machine held up for a second is one rank like any other. The test
//! alone would find any difference, however small, given enough samples; so a difference counts only if it is also one
//! that somebody could use.

/// Where |z| lies once in a million times if both heaps come from one source, on either side.
const Z: f64 = 4.891_638;

/// By how much the chance that one of the first heap is slower than one of the second must differ from a half.
const EFFECT: f64 = 0.2;

/// How two heaps stand to each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Separation {
    /// The chance that one of the first is greater than one of the second, equal ones counted half.
    pub(super) greater: f64,
    /// How many standard deviations U is off what it would be with one source.
    pub(super) z: f64,
}

impl Separation {
    pub(super) fn of(first: &[f64], second: &[f64]) -> Self {
        let mut all: Vec<(f64, bool)> = first.iter().map(|&value| (value, true)).collect();
        all.extend(second.iter().map(|&value| (value, false)));
        all.sort_by(|(one, _), (other, _)| one.total_cmp(other));

        let (mut ranks, mut ties) = (0.0, 0.0);
        let mut before = 0;
        for equal in all.chunk_by(|(one, _), (other, _)| one == other) {
            let many = equal.len() as f64;
            // Each of those that are equal has the mean of the ranks that they share.
            let rank = before as f64 + f64::midpoint(many, 1.0);
            ranks += rank * equal.iter().filter(|(_, of_first)| *of_first).count() as f64;
            ties += many.powi(3) - many;
            before += equal.len();
        }
        let (m, n) = (first.len() as f64, second.len() as f64);
        let u = ranks - m * (m + 1.0) / 2.0;
        let spread = (m * n / 12.0 * (m + n + 1.0 - ties / ((m + n) * (m + n - 1.0)))).sqrt();
        let z = if spread > 0.0 { (u - m * n / 2.0) / spread } else { 0.0 };
        Self { greater: u / (m * n), z }
    }

    /// Whether it is no accident, and large enough to be of use.
    pub(super) fn is_separable(self) -> bool {
        self.z.abs() > Z && (self.greater - 0.5).abs() > EFFECT
    }
}

/// The middle one.
pub(super) fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

mod tests {
    use super::*;
    use crate::enumeration::Dice;

    /// Times as a busy machine makes them: around four milliseconds, now and then far more.
    fn times(dice: &mut Dice, many: usize) -> Vec<f64> {
        let one = |dice: &mut Dice| {
            let bell: f64 = (0..12).map(|_| dice.share()).sum::<f64>() - 6.0;
            let held_up = if dice.share() < 0.05 { dice.share() * 200.0 } else { 0.0 };
            4.0 + 0.5 * bell + held_up
        };
        (0..many).map(|_| one(dice)).collect()
    }

    #[test]
    fn it_gives_what_textbooks_give() {
        let (first, second) = ([19.0, 22.0, 16.0, 29.0, 24.0], [20.0, 11.0, 17.0, 12.0]);
        let found = Separation::of(&first, &second);
        assert!((found.greater - 17.0 / 20.0).abs() < 1e-12 && (found.z - 1.714_643).abs() < 1e-6, "{found:?}");
        // With ties: ranks 1, 3, 3, 3, 5.5, 5.5, 7, 8.
        let found = Separation::of(&[1.0, 2.0, 2.0, 5.0], &[2.0, 5.0, 6.0, 7.0]);
        assert!((found.greater - 2.5 / 16.0).abs() < 1e-12 && (found.z + 1.637_187).abs() < 1e-6, "{found:?}");
        let found = Separation::of(&[3.0; 9], &[3.0; 9]);
        assert!((found.greater, found.z) == (0.5, 0.0), "{found:?}");
    }

    #[test]
    fn what_has_one_source_is_not_told_apart() {
        let mut dice = Dice::new(1);
        for round in 0..2_000 {
            let found = Separation::of(&times(&mut dice, 200), &times(&mut dice, 200));
            assert!(!found.is_separable(), "{round}: {found:?}");
        }
    }

    /// A machine that grows slower all the time, or that is slow for a while, slows down both.
    #[test]
    fn what_drifts_together_is_not_told_apart() {
        let mut dice = Dice::new(2);
        for round in 0..500 {
            let (mut first, mut second) = (times(&mut dice, 200), times(&mut dice, 200));
            for at in 0..200 {
                let slow = at as f64 / 20.0 + if (50..80).contains(&at) { 30.0 } else { 0.0 };
                first[at] += slow;
                second[at] += slow;
            }
            let found = Separation::of(&first, &second);
            assert!(!found.is_separable(), "{round}: {found:?}");
        }
    }

    #[test]
    fn what_is_slower_by_half_again_as_much_as_times_vary_is_told_apart() {
        let mut dice = Dice::new(3);
        for round in 0..500 {
            let (plain, mut slower) = (times(&mut dice, 200), times(&mut dice, 200));
            slower.iter_mut().for_each(|time| *time += 0.75);
            let found = Separation::of(&slower, &plain);
            assert!(found.is_separable() && found.greater > 0.5, "{round}: {found:?}");
            let found = Separation::of(&plain, &slower);
            assert!(found.is_separable() && found.greater < 0.5, "{round}: {found:?}");
        }
    }

    /// A tenth of how times vary: nobody gets to send the thousands of requests that it would take.
    #[test]
    fn what_is_of_no_use_to_anybody_is_let_be() {
        let mut dice = Dice::new(4);
        for round in 0..500 {
            let (plain, mut slower) = (times(&mut dice, 200), times(&mut dice, 200));
            slower.iter_mut().for_each(|time| *time += 0.05);
            let found = Separation::of(&slower, &plain);
            assert!(!found.is_separable(), "{round}: {found:?}");
        }
    }

    #[test]
    fn a_few_samples_prove_nothing() {
        let found = Separation::of(&[5.0, 6.0, 7.0, 8.0], &[1.0, 2.0, 3.0, 4.0]);
        assert!(found.greater > 0.99 && !found.is_separable(), "{found:?}");
    }
}
