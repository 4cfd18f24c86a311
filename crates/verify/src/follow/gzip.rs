//! Decompressing a body piece by piece: no piece has more than some tens of kilobytes, however well it was compressed.

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use flate2::write::GzDecoder;

/// The state of decompressing one body.
pub(super) struct Gunzip {
    decoder: GzDecoder<Vec<u8>>,
    input: Bytes,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self { decoder: GzDecoder::new(Vec::new()), input: Bytes::new() }
    }

    /// Adds compressed data. All earlier data must be used up.
    pub(super) fn add(&mut self, data: Bytes) {
        self.input = data;
    }

    /// The next piece; `None` if more data is needed.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.input.is_empty() {
            match self.decoder.write(&self.input)? {
                0 => return Err(io::ErrorKind::InvalidData.into()),
                used => self.input.advance(used),
            }
            if let Some(piece) = self.take() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// The last piece. Fails if data is missing or has changed on the way.
    pub(super) fn finish(mut self) -> io::Result<Option<Bytes>> {
        self.decoder.try_finish()?;
        Ok(self.take())
    }

    fn take(&mut self) -> Option<Bytes> {
        let piece = std::mem::take(self.decoder.get_mut());
        (!piece.is_empty()).then(|| piece.into())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn compressed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// The pieces of a body that arrives in pieces of this size.
    fn pieces(body: &[u8], size: usize) -> io::Result<Vec<Bytes>> {
        let (mut gunzip, mut pieces) = (Gunzip::new(), Vec::new());
        for data in body.chunks(size) {
            gunzip.add(Bytes::copy_from_slice(data));
            while let Some(piece) = gunzip.next()? {
                pieces.push(piece);
            }
        }
        pieces.extend(gunzip.finish()?);
        Ok(pieces)
    }

    #[test]
    fn pieces_of_a_bomb_are_small() {
        let plain = vec![b'a'; 50_000_000];
        let body = compressed(&plain);
        assert!(body.len() < 60_000);
        for size in [1000, body.len()] {
            let pieces = pieces(&body, size).unwrap();
            assert!(pieces.iter().all(|piece| piece.len() <= 128 * 1024));
            assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), plain.len());
        }
    }

    #[test]
    fn damaged_bodies_are_refused() {
        let plain: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
        let body = compressed(&plain);
        assert_eq!(pieces(&body, 7).unwrap().concat(), plain);
        for length in [0, 5, 100, body.len() - 8, body.len() - 1] {
            assert!(pieces(&body[..length], 64).is_err(), "{length}");
        }
        let mut changed = body.clone();
        let last = changed.len() - 6;
        changed[last] ^= 1;
        assert!(pieces(&changed, 64).is_err());
        assert!(pieces(&[&body[..], b"more"].concat(), 64).is_err());
        assert!(pieces(&plain, 64).is_err());
    }
}
