//! QR codes as PNG and SVG images. Knows nothing of what a code contains.

use qrcodegen::{QrCode, QrCodeEcc};

/// The margin that readers need (ISO/IEC 18004, 9.1), in modules.
const MARGIN: usize = 4;

/// Pixels per module, in each direction.
const SCALE: usize = 6;

/// A QR code with its margin.
pub(super) struct QrImage(QrCode);

impl QrImage {
    /// Encodes a text; `None` if it is longer than a QR code can hold.
    pub(super) fn encode(text: &str) -> Option<Self> {
        QrCode::encode_text(text, QrCodeEcc::Medium).ok().map(Self)
    }

    /// Modules in each direction, including the margin.
    fn side(&self) -> usize {
        self.0.size() as usize + 2 * MARGIN
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        // Modules outside the code are light.
        let without_margin = |position: usize| position as i32 - MARGIN as i32;
        self.0.get_module(without_margin(x), without_margin(y))
    }

    /// An SVG with one path; each run of dark modules is a rectangle of it.
    pub(super) fn to_svg(&self) -> String {
        let side = self.side();
        let mut path = String::new();
        for y in 0..side {
            let mut x = 0;
            while x < side {
                let run = (x..side).take_while(|x| self.is_dark(*x, y)).count();
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

    /// A greyscale PNG with one bit per pixel, in which 0 is black.
    pub(super) fn to_png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let pixels = self.side() * SCALE;
        let mut rows = Vec::with_capacity(pixels * pixels.div_ceil(8));
        for y in 0..self.side() {
            let mut row = vec![0; pixels.div_ceil(8)];
            for pixel in (0..pixels).filter(|pixel| !self.is_dark(pixel / SCALE, y)) {
                row[pixel / 8] |= 0x80 >> (pixel % 8);
            }
            (0..SCALE).for_each(|_| rows.extend_from_slice(&row));
        }
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, pixels as u32, pixels as u32);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rows)?;
        writer.finish()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_too_long_is_refused() {
        assert!(QrImage::encode(&"a".repeat(2_300)).is_some());
        assert!(QrImage::encode(&"a".repeat(3_000)).is_none());
    }

    #[test]
    fn png_has_the_modules_of_the_code() {
        let code = QrImage::encode("otpauth://totp/Signet:zoe%40example.org?secret=GEZDGNBVGY3TQOJQ").unwrap();
        let file = code.to_png().unwrap();
        assert!(file.len() < 2_000, "{} bytes", file.len());
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let pixels = code.side() * SCALE;
        assert_eq!((reader.info().width as usize, reader.info().height as usize), (pixels, pixels));
        let mut rows = vec![0; pixels * pixels.div_ceil(8)];
        reader.next_frame(&mut rows).unwrap();
        for (x, y) in (0..pixels).flat_map(|y| (0..pixels).map(move |x| (x, y))) {
            let is_white = rows[y * pixels.div_ceil(8) + x / 8] & (0x80 >> (x % 8)) != 0;
            assert_eq!(is_white, !code.is_dark(x / SCALE, y / SCALE), "{x}, {y}");
        }
    }
}
