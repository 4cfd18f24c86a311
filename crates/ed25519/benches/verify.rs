//! The time of a verification: the reference, the kernel for AVX-512 IFMA, and `ed25519-dalek`'s `verify_strict`, one
//! after the other in short turns, so that all meet the same load of the machine.

use std::hint::black_box;
use std::io::{Write, stdout};
use std::time::Instant;

use ed25519_dalek::{Signature, Signer, SigningKey};
use signet_ed25519::{Implementation, Verifier};

/// Turns, and verifications per turn. A turn starts with the tables of others in the cache.
const TURNS: usize = 200;
const PER_TURN: usize = 512;

type Verify<'a> = Box<dyn Fn(&[u8], &[u8; 64]) -> bool + 'a>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let theirs = key.verifying_key();
    let Some(ours) = Verifier::new(theirs.as_bytes()) else { return Err("not a key".into()) };
    // As long as an access token of Signet.
    let signed: Vec<(Vec<u8>, [u8; 64])> = (0..=u8::MAX)
        .map(|number| {
            let message = vec![number; 400];
            let signature = key.sign(&message).to_bytes();
            (message, signature)
        })
        .collect();
    let mut candidates: Vec<(String, Verify<'_>)> = Vec::new();
    for implementation in Implementation::available() {
        let ours = &ours;
        let verify = move |message: &[u8], signature: &[u8; 64]| ours.verify_with(implementation, message, signature);
        candidates.push((implementation.to_string(), Box::new(verify)));
    }
    let strict = move |message: &[u8], signature: &[u8; 64]| {
        theirs.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    };
    candidates.push(("verify_strict".to_owned(), Box::new(strict)));
    let mut times = vec![Vec::with_capacity(TURNS); candidates.len()];
    for turn in 0..=TURNS {
        for ((_, verify), times) in candidates.iter().zip(&mut times) {
            let start = Instant::now();
            for (message, signature) in signed.iter().cycle().take(PER_TURN) {
                if !verify(black_box(message), black_box(signature)) {
                    return Err("a valid signature is refused".into());
                }
            }
            // The first turn computes tables.
            if turn > 0 {
                times.push(start.elapsed().as_nanos() as usize / PER_TURN);
            }
        }
    }
    for ((name, _), mut times) in candidates.into_iter().zip(times) {
        times.sort_unstable();
        writeln!(stdout(), "{name:>14}: median {:>6} ns, minimum {:>6} ns", times[TURNS / 2], times[0])?;
    }
    Ok(())
}
