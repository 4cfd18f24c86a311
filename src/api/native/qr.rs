//! QR codes as pictures, PNG and SVG. Knows nothing of what a code says.
//!
//! It stands beside the one handler that shows one: how a text is drawn is wording. The PNG is written by hand: one bit a pixel,
//! stored rather than compressed, is a few kilobytes, for which no compressor need be linked in.

use qrcodegen::{QrCode, QrCodeEcc};

/// The margin that readers need (ISO/IEC 18004, 9.1), in modules.
const QUIET: usize = 4;

/// Pixels a module, in each direction.
const SCALE: usize = 6;

/// A QR code that can be drawn.
pub(super) struct Picture(QrCode);

impl Picture {
    /// The code of a text; `None` if it is longer than any code holds.
    pub(super) fn of(text: &str) -> Option<Self> {
        QrCode::encode_text(text, QrCodeEcc::Medium).ok().map(Self)
    }

    /// Modules in each direction, the margin included.
    fn side(&self) -> usize {
        self.0.size() as usize + 2 * QUIET
    }

    fn dark(&self, x: usize, y: usize) -> bool {
        // What lies outside the code is light.
        let at = |place: usize| place as i32 - QUIET as i32;
        self.0.get_module(at(x), at(y))
    }

    /// As an SVG: each run of dark modules a rectangle of one path.
    pub(super) fn svg(&self) -> String {
        let side = self.side();
        let mut path = String::new();
        for y in 0..side {
            let mut x = 0;
            while x < side {
                let run = (x..side).take_while(|x| self.dark(*x, y)).count();
                if run > 0 {
                    path.push_str(&format!("M{x} {y}h{run}v1h-{run}z"));
                }
                x += run.max(1);
            }
        }
        let pixels = side * SCALE;
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{pixels}" height="{pixels}" viewBox="0 0 {side} {side}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{side}v{side}h-{side}z"/><path d="{path}"/></svg>"##
        )
    }

    /// As a PNG (RFC 2083): greyscale of one bit, in which 0 is black.
    pub(super) fn png(&self) -> Vec<u8> {
        let pixels = self.side() * SCALE;
        let mut rows = Vec::with_capacity(pixels * (1 + pixels.div_ceil(8)));
        for y in 0..self.side() {
            let mut row = vec![0; 1 + pixels.div_ceil(8)];
            for pixel in (0..pixels).filter(|pixel| !self.dark(pixel / SCALE, y)) {
                row[1 + pixel / 8] |= 0x80 >> (pixel % 8);
            }
            (0..SCALE).for_each(|_| rows.extend_from_slice(&row));
        }
        let side = (pixels as u32).to_be_bytes();
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        chunk(&mut png, *b"IHDR", &[&side[..], &side[..], &[1, 0, 0, 0, 0]].concat());
        chunk(&mut png, *b"IDAT", &stored(&rows));
        chunk(&mut png, *b"IEND", &[]);
        png
    }
}

fn chunk(png: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    png.extend_from_slice(&(content.len() as u32).to_be_bytes());
    let begin = png.len();
    png.extend_from_slice(&name);
    png.extend_from_slice(content);
    let sum = crc32(&png[begin..]);
    png.extend_from_slice(&sum.to_be_bytes());
}

/// A zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(&(!length).to_le_bytes());
        stream.extend_from_slice(block);
    }
    stream.extend_from_slice(&adler32(bytes).to_be_bytes());
    stream
}

fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn what_no_code_holds_is_not_drawn() {
        assert!(Picture::of(&"a".repeat(2_300)).is_some());
        assert!(Picture::of(&"a".repeat(3_000)).is_none());
    }
}
