//! The inverse modulo p = 2^255 − 19 by division steps, in variable time: a third of the time of the power p − 2.
//!
//! Bernstein and Yang, "Fast constant-time gcd computation and modular inversion" (2019), in the form that libsecp256k1
//! explains in `doc/safegcd_implementation.md`: 62 steps at a time are computed with the low words of f and g alone, as
//! a matrix, which is then applied to the whole numbers. The result is checked by a multiplication where it is used
//! (`Element::invert`), so that a mistake here could cost time, but could not make a result wrong.

/// A number in five limbs of 62 bits. The last one has the sign.
type Number = [i64; 5];

/// Σ limb\[i\] · 2^(62·i) = 2^255 − 19.
const P: Number = [-19, 0, 0, 0, 1 << 7];

/// The inverse of p modulo 2^62.
const P_INVERSE: u64 = {
    // Newton's iteration doubles the number of right bits. An odd number is its own inverse modulo 8.
    let p = P[0].cast_unsigned();
    let (mut inverse, mut bits) = (p, 3);
    while bits < 62 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(p.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse & MASK
};

const MASK: u64 = (1 << 62) - 1;

/// 62 steps turn (f, g) into (u·f + v·g, q·f + r·g) / 2^62.
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// The inverse of a number below p, which is four words. Of 0, it is 0.
pub(super) fn invert(words: [u64; 4]) -> [u64; 4] {
    let [a, b, c, d] = words;
    let mut g =
        [a, a >> 62 | b << 2, b >> 60 | c << 4, c >> 58 | d << 6, d >> 56].map(|limb| (limb & MASK).cast_signed());
    let mut f = P;
    // d·x = f and e·x = g modulo p.
    let (mut d, mut e): (Number, Number) = ([0; 5], [1, 0, 0, 0, 0]);
    let (mut eta, mut length) = (-1, 5);
    // (49 · 256 + 57) / 17 = 741 steps are always enough for 256 bits.
    for _ in 0..12 {
        let matrix = steps(&mut eta, f[0], g[0]);
        update_cofactors(&mut d, &mut e, &matrix);
        update_numbers(&mut f[..length], &mut g[..length], &matrix);
        if g[..length].iter().all(|limb| *limb == 0) {
            break;
        }
        // Both become smaller. A last limb that is only a sign is not needed.
        let (last_f, last_g) = (f[length - 1], g[length - 1]);
        if length > 1 && matches!(last_f, 0 | -1) && matches!(last_g, 0 | -1) {
            length -= 1;
            f[length - 1] |= last_f << 62;
            g[length - 1] |= last_g << 62;
        }
    }
    // f is 1 or −1, and so d is the inverse or its opposite; it is between −2p and p.
    let sign = if f[length - 1] < 0 { -1 } else { 1 };
    let mut d = carried(d.map(|limb| limb * sign));
    while d[4] < 0 {
        d = carried(std::array::from_fn(|i| d[i] + P[i]));
    }
    // Now it is between 0 and 2p, which fits into four words.
    let [a, b, c, d, e] = d.map(i64::cast_unsigned);
    [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56]
}

/// The matrix of 62 steps. `eta` is −δ of the paper.
#[inline]
fn steps(eta: &mut i32, f: i64, g: i64) -> Matrix {
    let (mut f, mut g) = (f.cast_unsigned(), g.cast_unsigned());
    let (mut u, mut v, mut q, mut r) = (1u64, 0u64, 0u64, 1u64);
    let mut left = 62;
    loop {
        // Steps with an even g only halve it.
        let zeros = (g | u64::MAX << left).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        *eta -= zeros.cast_signed();
        left -= zeros;
        if left == 0 {
            break;
        }
        // Now f and g are odd. A multiple of f is added to g that makes as many bits of it zero as the next steps
        // would, until they swap f and g.
        let multiple = if *eta < 0 {
            *eta = -*eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
            // −g/f modulo 2^6, because f · (2 − f²) is the inverse of f.
            f.wrapping_mul(g).wrapping_mul(f.wrapping_mul(f).wrapping_sub(2)) & 63
        } else {
            // −g/f modulo 2^4.
            f.wrapping_add((f.wrapping_add(1) & 4) << 1).wrapping_neg().wrapping_mul(g) & 15
        };
        let limit = (eta.cast_unsigned() + 1).min(left);
        let multiple = multiple & u64::MAX >> (64 - limit);
        g = g.wrapping_add(f.wrapping_mul(multiple));
        q = q.wrapping_add(u.wrapping_mul(multiple));
        r = r.wrapping_add(v.wrapping_mul(multiple));
    }
    let [u, v, q, r] = [u, v, q, r].map(u64::cast_signed);
    Matrix { u, v, q, r }
}

/// Applies the matrix to d and e modulo p, and divides by 2^62. Both stay between −2p and p.
#[inline]
fn update_cofactors(d: &mut Number, e: &mut Number, &Matrix { u, v, q, r }: &Matrix) {
    let (sign_d, sign_e) = (d[4] >> 63, e[4] >> 63);
    let (mut sum_d, mut sum_e) = (product(u, d[0]) + product(v, e[0]), product(q, d[0]) + product(r, e[0]));
    // The multiples of p to add: one if d or e is negative, and what makes the lowest 62 bits zero.
    let multiple = |start: i64, low: i128| {
        let wrong = P_INVERSE.wrapping_mul(low as u64).wrapping_add(start.cast_unsigned()) & MASK;
        start - wrong.cast_signed()
    };
    let multiple_d = multiple((u & sign_d) + (v & sign_e), sum_d);
    let multiple_e = multiple((q & sign_d) + (r & sign_e), sum_e);
    sum_d += product(P[0], multiple_d);
    sum_e += product(P[0], multiple_e);
    debug_assert!(sum_d as u64 & MASK == 0 && sum_e as u64 & MASK == 0);
    for i in 1..5 {
        sum_d = (sum_d >> 62) + product(u, d[i]) + product(v, e[i]) + product(P[i], multiple_d);
        sum_e = (sum_e >> 62) + product(q, d[i]) + product(r, e[i]) + product(P[i], multiple_e);
        d[i - 1] = (sum_d as u64 & MASK).cast_signed();
        e[i - 1] = (sum_e as u64 & MASK).cast_signed();
    }
    (d[4], e[4]) = ((sum_d >> 62) as i64, (sum_e >> 62) as i64);
}

/// Applies the matrix to f and g, and divides by 2^62.
#[inline]
fn update_numbers(f: &mut [i64], g: &mut [i64], &Matrix { u, v, q, r }: &Matrix) {
    let (mut sum_f, mut sum_g) = (product(u, f[0]) + product(v, g[0]), product(q, f[0]) + product(r, g[0]));
    debug_assert!(sum_f as u64 & MASK == 0 && sum_g as u64 & MASK == 0);
    let last = f.len() - 1;
    for i in 1..=last {
        sum_f = (sum_f >> 62) + product(u, f[i]) + product(v, g[i]);
        sum_g = (sum_g >> 62) + product(q, f[i]) + product(r, g[i]);
        f[i - 1] = (sum_f as u64 & MASK).cast_signed();
        g[i - 1] = (sum_g as u64 & MASK).cast_signed();
    }
    (f[last], g[last]) = ((sum_f >> 62) as i64, (sum_g >> 62) as i64);
}

/// The same number with the lower limbs between 0 and 2^62.
fn carried(mut number: Number) -> Number {
    for i in 0..4 {
        number[i + 1] += number[i] >> 62;
        number[i] &= MASK.cast_signed();
    }
    number
}

fn product(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}
