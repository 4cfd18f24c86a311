//! Statistical separation of two samples of times: the Mann-Whitney U test and the size of the effect. Knows nothing
//! of the origin of the times.
//!
//! Ranks are compared, not means: a response that a busy machine delayed by a second has one rank like any other.
//! Given enough samples, the test alone would find any difference, however small; so a difference counts only if it
//! is also large enough to be exploited.

/// |z| is beyond this once in a million times if both samples come from one distribution.
const Z_LIMIT: f64 = 4.891_638;

/// The least difference from 0.5 of the probability that a value of the first sample exceeds one of the second.
const MIN_EFFECT: f64 = 0.2;

/// The relation of two samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Separation {
    /// The probability that a value of the first sample exceeds one of the second; equal values count half.
    pub(super) greater: f64,
    /// The distance of U, in standard deviations, from its mean for one distribution.
    pub(super) z: f64,
}

impl Separation {
    pub(super) fn of(first: &[f64], second: &[f64]) -> Self {
        let mut all: Vec<(f64, bool)> = first.iter().map(|&value| (value, true)).collect();
        all.extend(second.iter().map(|&value| (value, false)));
        all.sort_by(|(one, _), (other, _)| one.total_cmp(other));

        let (mut ranks, mut ties) = (0.0, 0.0);
        let mut smaller = 0;
        for equal in all.chunk_by(|(one, _), (other, _)| one == other) {
            let count = equal.len() as f64;
            // Equal values share the mean of their ranks.
            let rank = smaller as f64 + f64::midpoint(count, 1.0);
            ranks += rank * equal.iter().filter(|(_, of_first)| *of_first).count() as f64;
            ties += count.powi(3) - count;
            smaller += equal.len();
        }
        let (m, n) = (first.len() as f64, second.len() as f64);
        let u = ranks - m * (m + 1.0) / 2.0;
        let deviation = (m * n / 12.0 * (m + n + 1.0 - ties / ((m + n) * (m + n - 1.0)))).sqrt();
        let z = if deviation > 0.0 { (u - m * n / 2.0) / deviation } else { 0.0 };
        Self { greater: u / (m * n), z }
    }

    /// True if the difference is significant and large enough to be exploited.
    pub(super) fn is_separable(self) -> bool {
        self.z.abs() > Z_LIMIT && (self.greater - 0.5).abs() > MIN_EFFECT
    }

    /// False if the difference is so small that more samples will hardly show a separable one.
    pub(super) fn may_be_separable(self) -> bool {
        (self.greater - 0.5).abs() > MIN_EFFECT / 2.0
    }
}

pub(super) fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

mod tests {
    use super::*;
    use crate::enumeration::{Dice, FIRST_PAIRS};

    /// Times as on a busy machine: around four milliseconds, sometimes far more.
    fn times(dice: &mut Dice, count: usize) -> Vec<f64> {
        let one = |dice: &mut Dice| {
            let normal: f64 = (0..12).map(|_| dice.next_f64()).sum::<f64>() - 6.0;
            let delay = if dice.next_f64() < 0.05 { dice.next_f64() * 200.0 } else { 0.0 };
            4.0 + 0.5 * normal + delay
        };
        (0..count).map(|_| one(dice)).collect()
    }

    #[test]
    fn separation_matches_textbook_examples() {
        let (first, second) = ([19.0, 22.0, 16.0, 29.0, 24.0], [20.0, 11.0, 17.0, 12.0]);
        let separation = Separation::of(&first, &second);
        assert!(
            (separation.greater - 17.0 / 20.0).abs() < 1e-12 && (separation.z - 1.714_643).abs() < 1e-6,
            "{separation:?}"
        );
        // With ties: ranks 1, 3, 3, 3, 5.5, 5.5, 7, 8.
        let separation = Separation::of(&[1.0, 2.0, 2.0, 5.0], &[2.0, 5.0, 6.0, 7.0]);
        assert!(
            (separation.greater - 2.5 / 16.0).abs() < 1e-12 && (separation.z + 1.637_187).abs() < 1e-6,
            "{separation:?}"
        );
        let separation = Separation::of(&[3.0; 9], &[3.0; 9]);
        assert!((separation.greater, separation.z) == (0.5, 0.0), "{separation:?}");
    }

    #[test]
    fn samples_of_one_distribution_are_not_separable() {
        let mut dice = Dice::new(1);
        for round in 0..2_000 {
            let separation = Separation::of(&times(&mut dice, 200), &times(&mut dice, 200));
            assert!(!separation.is_separable(), "{round}: {separation:?}");
        }
    }

    /// A machine that becomes slower, or is slow for a while, slows both kinds down.
    #[test]
    fn common_drift_is_not_separable() {
        let mut dice = Dice::new(2);
        for round in 0..500 {
            let (mut first, mut second) = (times(&mut dice, 200), times(&mut dice, 200));
            for at in 0..200 {
                let slow = at as f64 / 20.0 + if (50..80).contains(&at) { 30.0 } else { 0.0 };
                first[at] += slow;
                second[at] += slow;
            }
            let separation = Separation::of(&first, &second);
            assert!(!separation.is_separable(), "{round}: {separation:?}");
        }
    }

    #[test]
    fn difference_of_one_and_a_half_deviations_is_separable() {
        let mut dice = Dice::new(3);
        for round in 0..500 {
            let (plain, mut slower) = (times(&mut dice, 200), times(&mut dice, 200));
            slower.iter_mut().for_each(|time| *time += 0.75);
            let separation = Separation::of(&slower, &plain);
            assert!(separation.is_separable() && separation.greater > 0.5, "{round}: {separation:?}");
            let separation = Separation::of(&plain, &slower);
            assert!(separation.is_separable() && separation.greater < 0.5, "{round}: {separation:?}");
            let first = Separation::of(&slower[..FIRST_PAIRS], &plain[..FIRST_PAIRS]);
            assert!(first.may_be_separable(), "{round}: {first:?}");
        }
    }

    /// A tenth of the deviation: an attacker would need thousands of requests, more than the limits allow.
    #[test]
    fn tiny_difference_is_not_separable() {
        let mut dice = Dice::new(4);
        for round in 0..500 {
            let (plain, mut slower) = (times(&mut dice, 200), times(&mut dice, 200));
            slower.iter_mut().for_each(|time| *time += 0.05);
            let separation = Separation::of(&slower, &plain);
            assert!(!separation.is_separable(), "{round}: {separation:?}");
        }
    }

    #[test]
    fn few_samples_are_not_separable() {
        let separation = Separation::of(&[5.0, 6.0, 7.0, 8.0], &[1.0, 2.0, 3.0, 4.0]);
        assert!(separation.greater > 0.99 && !separation.is_separable(), "{separation:?}");
    }
}
