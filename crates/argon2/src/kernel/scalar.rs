//! The kernel in plain Rust, the reference in tests of the others: Miri runs it, and it runs on every processor.

use argon2::Block;

use super::{Kernel, Step};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

impl Kernel for Scalar {
    fn fill(
        self,
        memory: &mut [Block],
        step: Step,
        _scratch: &mut [Block; 2],
        next: impl FnOnce(u64) -> usize,
    ) -> usize {
        let xor = |a: &Block, b: &Block| {
            let mut result = *a;
            result.as_mut().iter_mut().zip(b.as_ref()).for_each(|(a, b)| *a ^= b);
            result
        };
        let sum = xor(&memory[step.previous], &memory[step.reference]);
        let mut mixed = sum;
        for row in 0..8 {
            round(mixed.as_mut(), |word| 16 * row + word);
        }
        for column in 0..8 {
            round(mixed.as_mut(), |word| 16 * (word / 2) + 2 * column + word % 2);
        }
        let mut result = xor(&mixed, &sum);
        if step.combine {
            result = xor(&result, &memory[step.block]);
        }
        memory[step.block] = result;
        next(result.as_ref()[0])
    }

    fn prefetch(self, _memory: &[Block], _block: usize) {}
}

/// The round of BLAKE2b with multiplications (RFC 9106, 3.6), on 16 words.
fn round(words: &mut [u64], at: impl Fn(usize) -> usize) {
    for [a, b, c, d] in [
        [0, 4, 8, 12],
        [1, 5, 9, 13],
        [2, 6, 10, 14],
        [3, 7, 11, 15],
        [0, 5, 10, 15],
        [1, 6, 11, 12],
        [2, 7, 8, 13],
        [3, 4, 9, 14],
    ] {
        let [a, b, c, d] = [a, b, c, d].map(&at);
        for (first, second) in [(32, 24), (16, 63)] {
            words[a] = multiply_add(words[a], words[b]);
            words[d] = (words[d] ^ words[a]).rotate_right(first);
            words[c] = multiply_add(words[c], words[d]);
            words[b] = (words[b] ^ words[c]).rotate_right(second);
        }
    }
}

fn multiply_add(a: u64, b: u64) -> u64 {
    let product = (a & 0xffff_ffff) * (b & 0xffff_ffff);
    a.wrapping_add(b).wrapping_add(product << 1)
}
