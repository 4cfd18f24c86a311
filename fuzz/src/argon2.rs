//! Argon2: every implementation that the processor can run computes what the crate `argon2` computes, for any parameters
//! and inputs, and refuses what it refuses.
//!
//! The first [`HEAD`] bytes are the variant, the version, the parameters and the lengths; the rest is the password, the
//! salt and the secret.

use signet_argon2::{Algorithm, Argon2, Block, Implementation, Params, Version};

/// Bytes before the password.
pub const HEAD: usize = 10;

/// KiB besides the minimum: few, so that many inputs are tried in a second, and enough for a segment that needs three
/// blocks of addresses.
const MAX_MEMORY: u32 = 1_200;

pub fn run(bytes: &[u8]) {
    let Some((head, inputs)) = bytes.split_first_chunk::<HEAD>() else { return };
    let [variant, lanes, passes, memory, more, output, more_output, password, salt, secret] = head.map(u32::from);
    let algorithm = [Algorithm::Argon2id, Algorithm::Argon2i, Algorithm::Argon2d][variant as usize % 3];
    let version = if variant & 0x80 == 0 { Version::V0x13 } else { Version::V0x10 };
    let (lanes, passes) = (1 + lanes % 5, 1 + passes % 4);
    let memory_kib = 8 * lanes + (memory + if more % 8 == 0 { 256 * (more / 8) } else { 0 }) % MAX_MEMORY;
    // Mostly 32 bytes or so, sometimes the long form of the hash function, sometimes too few.
    let output = output as usize % 70 + if more_output % 4 == 0 { more_output as usize } else { 0 };
    let (password, inputs) = inputs.split_at(inputs.len().min(password as usize));
    let (salt, inputs) = inputs.split_at(inputs.len().min(salt as usize % 64));
    let secret = &inputs[..inputs.len().min(secret as usize % 64)];

    let params = Params::new(memory_kib, passes, lanes, None).unwrap();
    let hash = |implementation, fill: u64| {
        // The content of the memory before must not matter.
        let mut memory = vec![Block::new(); memory_kib as usize];
        memory.iter_mut().for_each(|block| block.as_mut().fill(fill));
        let mut out = vec![0; output];
        Argon2::new(implementation, algorithm, version, params.clone())
            .with_secret(secret)
            .hash_into(password, salt, &mut out, &mut memory)
            .map(|()| out)
    };
    let expected = hash(Implementation::REFERENCE, 0);
    for implementation in Implementation::available().filter(|implementation| !implementation.is_reference()) {
        let computed = hash(implementation, u64::MAX);
        assert_eq!(
            computed, expected,
            "{implementation}: {algorithm:?} {version:?} m={memory_kib} t={passes} p={lanes}, {bytes:?}"
        );
    }
}
