//! Argon2 (RFC 9106) as fast as the processor allows: kernels for AVX-512 and AVX2, chosen at run time, in memory that
//! the caller supplies. Everything else (other processors, and the check at the start) is the crate `argon2`, which is
//! the reference here.
//!
//! Knows nothing of password formats, threads or settings.
//!
//! # Why a kernel of our own
//! The crate `argon2` lets the compiler vectorize plain code: on x86-64 a hash takes one and a half to two times as long
//! as with the reference implementation's C. The crate `argon2-rust` (1.1) is a port of that C and as fast. It was
//! not chosen, because it has some 600 uses of `unsafe`, no audit and few users. The part that matters is one function,
//! which computes a block from two others. Here it is written with intrinsics that are safe to call inside of functions
//! with the right target features. Unsafe are the loads, the stores and prefetching, each in one small function that
//! takes a reference, and the call from a function without the features. Everything else is safe code with bounds
//! checks. A second reason is the prefetch: the address of the next block is known before the current one is complete,
//! but only inside of that function.
//!
//! # How it is checked
//! Against RFC 9106's vectors, the answers of the reference implementation, and the crate `argon2` with random
//! parameters (`tests/equal.rs`, and the fuzz target `argon2`), on every path that the processor has. A server checks
//! the path that it uses when it starts ([`Implementation::agrees_with_reference`]). Without a processor that has AVX-512,
//! its path can be run in the emulator Bochs, with the model `corei7_skylake_x`.
//!
//! Everything but the kernels is tested with a scalar kernel without unsafe code too, which Miri can run.

mod fill;
mod hash;
mod kernel;
mod layout;

use std::fmt;

pub use argon2::{Algorithm, AssociatedData, Block, Error, MIN_SALT_LEN, Params, ParamsBuilder, Result, Version};

use fill::fill;
use hash::Inputs;
use layout::Layout;

/// The code that computes the blocks.
#[derive(Clone, Copy, Debug)]
pub struct Implementation(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Reference,
    #[cfg(target_arch = "x86_64")]
    Avx2(kernel::avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(kernel::avx512::Avx512),
    #[cfg(test)]
    Scalar(kernel::scalar::Scalar),
    /// Computes something else.
    #[cfg(test)]
    Faulty,
}

impl Implementation {
    /// The crate `argon2`.
    pub const REFERENCE: Self = Self(Kind::Reference);

    /// The implementations that this processor can run, the fastest first. The last one is the reference.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let kernels = [
            kernel::avx512::Avx512::detect().map(|kernel| Self(Kind::Avx512(kernel))),
            kernel::avx2::Avx2::detect().map(|kernel| Self(Kind::Avx2(kernel))),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let kernels = [];
        kernels.into_iter().flatten().chain([Self::REFERENCE])
    }

    /// The fastest implementation that this processor can run.
    pub fn fastest() -> Self {
        Self::available().next().unwrap_or(Self::REFERENCE)
    }

    /// Returns true if this implementation is the reference.
    pub fn is_reference(self) -> bool {
        matches!(self.0, Kind::Reference)
    }

    /// Compares two small hashes with those of the reference, in less than a millisecond: a fault of this processor or
    /// this build must not make correct passwords wrong, or create hashes that no other node accepts.
    pub fn agrees_with_reference(self) -> bool {
        [(64, 3, 1), (100, 2, 3)].into_iter().all(|(memory_kib, passes, lanes)| {
            let mut memory = [Block::new(); 100];
            let hash = |implementation, memory: &mut [Block]| {
                let params = Params::new(memory_kib, passes, lanes, None)?;
                let mut out = [0; 32];
                Argon2::new(implementation, Algorithm::Argon2id, Version::V0x13, params)
                    .hash_into(b"password", b"some salt", &mut out, memory)
                    .map(|()| out)
            };
            let (ours, theirs) = (hash(self, &mut memory), hash(Self::REFERENCE, &mut memory));
            ours.is_ok() && ours == theirs
        })
    }
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Reference => "reference",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "AVX-512",
            #[cfg(test)]
            Kind::Scalar(_) => "scalar",
            #[cfg(test)]
            Kind::Faulty => "faulty",
        })
    }
}

/// Argon2 with its parameters.
#[derive(Clone)]
pub struct Argon2<'a> {
    implementation: Implementation,
    algorithm: Algorithm,
    version: Version,
    params: Params,
    secret: &'a [u8],
}

impl<'a> Argon2<'a> {
    /// The parameters of a hash, and the code that computes it. Lanes are computed one after the other.
    pub fn new(implementation: Implementation, algorithm: Algorithm, version: Version, params: Params) -> Self {
        Self { implementation, algorithm, version, params, secret: &[] }
    }

    /// The same with a secret key (K in RFC 9106, 3.1).
    pub fn with_secret(self, secret: &'a [u8]) -> Self {
        Self { secret, ..self }
    }

    /// Computes a hash in `memory`, which needs as many blocks as the parameters say. Its content does not matter, and
    /// is not wiped: that is left to the caller, as with the crate `argon2`.
    pub fn hash_into(&self, password: &[u8], salt: &[u8], out: &mut [u8], memory: &mut [Block]) -> Result<()> {
        self.hash_with_pauses(password, salt, out, memory, &mut || {})
    }

    /// The same, with a call of `pause` about every 50 µs, in which the thread can let others have the processor. The
    /// reference makes no pauses.
    pub fn hash_with_pauses(
        &self,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
        memory: &mut [Block],
        pause: &mut dyn FnMut(),
    ) -> Result<()> {
        match self.implementation.0 {
            Kind::Reference => {
                let params = self.params.clone();
                argon2::Argon2::new_with_secret(self.secret, self.algorithm, self.version, params)?
                    .hash_password_into_with_memory(password, salt, out, memory)
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(kernel) => self.hash_with(kernel, (password, salt), out, memory, pause),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(kernel) => self.hash_with(kernel, (password, salt), out, memory, pause),
            #[cfg(test)]
            Kind::Scalar(kernel) => self.hash_with(kernel, (password, salt), out, memory, pause),
            #[cfg(test)]
            Kind::Faulty => self.hash_with(kernel::scalar::Scalar, (password, b"another salt"), out, memory, pause),
        }
    }

    #[cfg_attr(not(any(test, target_arch = "x86_64")), allow(dead_code, reason = "there is no kernel"))]
    fn hash_with<K: kernel::Kernel>(
        &self,
        kernel: K,
        (password, salt): (&[u8], &[u8]),
        out: &mut [u8],
        memory: &mut [Block],
        pause: &mut dyn FnMut(),
    ) -> Result<()> {
        let expected = self.params.output_len();
        if out.len() < expected.unwrap_or(Params::MIN_OUTPUT_LEN) {
            return Err(Error::OutputTooShort);
        }
        if out.len() > expected.unwrap_or(Params::MAX_OUTPUT_LEN) {
            return Err(Error::OutputTooLong);
        }
        if salt.len() < MIN_SALT_LEN {
            return Err(Error::SaltTooShort);
        }
        let memory = memory.get_mut(..Layout::new(&self.params).blocks()).ok_or(Error::MemoryTooLittle)?;
        let parameters = (self.algorithm, self.version, &self.params);
        hash::first_blocks(Inputs { password, salt, secret: self.secret }, parameters, out.len(), memory)?;
        fill(kernel, parameters, memory, pause);
        hash::output(&self.params, memory, out)
    }
}

#[cfg(test)]
mod tests;
