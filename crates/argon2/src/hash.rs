//! The first and last steps (RFC 9106, 3.2, steps 1 to 4 and 7, and 3.3): from the inputs to the first blocks, and from
//! the last ones to the output.

use argon2::{Algorithm, Block, Error, Params, Result, Version};
use blake2::digest::Digest;
use blake2::digest::block_api::{UpdateCore, VariableOutputCore};
use blake2::digest::block_buffer::LazyBuffer;
use blake2::{Blake2b512, Blake2bVarCore};
use zeroize::Zeroize;

use crate::layout::Layout;

/// The input of a hash, without its parameters.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) password: &'a [u8],
    pub(crate) salt: &'a [u8],
    pub(crate) secret: &'a [u8],
}

/// Computes the first two blocks of each lane.
pub(crate) fn first_blocks(
    inputs: Inputs<'_>,
    (algorithm, version, params): (Algorithm, Version, &Params),
    output: usize,
    memory: &mut [Block],
) -> Result<()> {
    let mut digest = Blake2b512::new();
    let tag = u32::try_from(output).map_err(|_| Error::OutputTooLong)?;
    let kind = (version as u32, algorithm as u32);
    for number in [params.p_cost(), tag, params.m_cost(), params.t_cost(), kind.0, kind.1] {
        digest.update(number.to_le_bytes());
    }
    for (field, error) in [
        (inputs.password, Error::PwdTooLong),
        (inputs.salt, Error::SaltTooLong),
        (inputs.secret, Error::SecretTooLong),
        (params.data(), Error::AdTooLong),
    ] {
        digest.update(u32::try_from(field.len()).map_err(|_| error)?.to_le_bytes());
        digest.update(field);
    }
    let mut initial = digest.finalize();
    let mut bytes = [0; Block::SIZE];
    for (lane, blocks) in (0_u32..).zip(memory.chunks_exact_mut(Layout::new(params).lane())) {
        for (index, block) in (0_u32..2).zip(blocks) {
            long_hash(&[&initial, &index.to_le_bytes(), &lane.to_le_bytes()], &mut bytes)?;
            for (word, bytes) in block.as_mut().iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
    }
    initial.zeroize();
    bytes.zeroize();
    Ok(())
}

/// Computes the output from the last block of each lane.
pub(crate) fn output(params: &Params, memory: &[Block], out: &mut [u8]) -> Result<()> {
    let mut sum = Block::new();
    for lane in memory.chunks_exact(Layout::new(params).lane()) {
        if let Some(last) = lane.last() {
            sum ^= last;
        }
    }
    let mut bytes = [0; Block::SIZE];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(sum.as_ref()) {
        *bytes = word.to_le_bytes();
    }
    let result = long_hash(&[&bytes], out);
    sum.zeroize();
    bytes.zeroize();
    result
}

/// The variable-length hash function H' (RFC 9106, 3.3).
fn long_hash(inputs: &[&[u8]], out: &mut [u8]) -> Result<()> {
    let length = u32::try_from(out.len()).map_err(|_| Error::OutputTooLong)?.to_le_bytes();
    if out.len() <= 64 {
        let inputs: Vec<_> = [&length[..]].iter().chain(inputs).copied().collect();
        return short_hash(&inputs, out);
    }
    let mut digest = Blake2b512::new();
    digest.update(length);
    inputs.iter().for_each(|input| digest.update(input));
    let mut last = digest.finalize();
    let mut rest = out;
    loop {
        let (chunk, tail) = rest.split_at_mut(32);
        chunk.copy_from_slice(&last[..32]);
        rest = tail;
        if rest.len() <= 64 {
            break;
        }
        last = Blake2b512::digest(last);
    }
    let result = short_hash(&[&last], rest);
    last.zeroize();
    result
}

/// BLAKE2b with an output of at most 64 bytes.
fn short_hash(inputs: &[&[u8]], out: &mut [u8]) -> Result<()> {
    let mut hash = Blake2bVarCore::new(out.len()).map_err(|_| Error::OutputTooShort)?;
    let mut buffer = LazyBuffer::new(&[]);
    for input in inputs {
        buffer.digest_blocks(input, |blocks| hash.update_blocks(blocks));
    }
    let mut full = Default::default();
    hash.finalize_variable_core(&mut buffer, &mut full);
    out.copy_from_slice(&full[..out.len()]);
    full.zeroize();
    Ok(())
}
