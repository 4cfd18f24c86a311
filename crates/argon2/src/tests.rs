//! The code around the kernels with the scalar kernel, so that Miri can run all of it; and the check of a fault.

use super::*;

const SCALAR: Implementation = Implementation(Kind::Scalar(kernel::scalar::Scalar));
const FAULTY: Implementation = Implementation(Kind::Faulty);

#[test]
fn every_implementation_agrees_with_the_reference() {
    for implementation in Implementation::available().chain([SCALAR]) {
        assert!(implementation.agrees_with_reference(), "{implementation}");
    }
    assert!(!FAULTY.agrees_with_reference());
}

#[test]
fn references_are_within_the_allowed_area() {
    for lanes in [1, 2, 3] {
        let layout = Layout { lanes, segment: 5 };
        for pass in [0, 1] {
            for slice in 0..layout::SLICES {
                for index in if pass == 0 && slice == 0 { 2 } else { 0 }..layout.segment {
                    let at = layout::Position { pass, slice, lane: lanes - 1, index };
                    for random in
                        (0..3).flat_map(|lane| [0, 1, 1 << 31, u32::MAX].map(|low| lane << 32 | u64::from(low)))
                    {
                        let (found, block) = (layout.reference(at, random), layout.of(at));
                        assert!(found < layout.blocks() && found != block && found != layout.previous(at), "{at:?}");
                        let (lane, slice_found) = (found / layout.lane(), found % layout.lane() / layout.segment);
                        if lane != at.lane {
                            assert_ne!(slice_found, slice, "a block of another lane in the current segment: {at:?}");
                        } else if pass == 0 {
                            assert!(found < block, "a block that is not computed: {at:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn lengths_that_the_reference_refuses_are_refused() {
    let params = Params::new(16, 1, 1, Some(32)).unwrap();
    for implementation in Implementation::available().chain([SCALAR]) {
        let argon2 = Argon2::new(implementation, Algorithm::Argon2id, Version::V0x13, params.clone());
        let hash = |salt: &[u8], out: usize, blocks: usize| {
            argon2.hash_into(b"password", salt, &mut vec![0; out], &mut vec![Block::new(); blocks])
        };
        assert_eq!(hash(b"saltsalt", 32, 16), Ok(()));
        assert_eq!(hash(b"saltsal", 32, 16), Err(Error::SaltTooShort));
        assert_eq!(hash(b"saltsalt", 31, 16), Err(Error::OutputTooShort));
        assert_eq!(hash(b"saltsalt", 33, 16), Err(Error::OutputTooLong));
        assert_eq!(hash(b"saltsalt", 32, 15), Err(Error::MemoryTooLittle));
    }
}

#[test]
fn pauses_are_made_and_change_nothing() {
    let params = Params::new(2048, 2, 1, Some(32)).unwrap();
    let argon2 = Argon2::new(SCALAR, Algorithm::Argon2id, Version::V0x13, params);
    let (mut memory, mut plain, mut with_pauses, mut pauses) = (vec![Block::new(); 2048], [0; 32], [0; 32], 0);
    argon2.hash_into(b"password", b"some salt", &mut plain, &mut memory).unwrap();
    argon2.hash_with_pauses(b"password", b"some salt", &mut with_pauses, &mut memory, &mut || pauses += 1).unwrap();
    assert_eq!(with_pauses, plain);
    // The first blocks are not filled in this way.
    assert_eq!(pauses, 2 * 2048 / 256 - 1);
}
