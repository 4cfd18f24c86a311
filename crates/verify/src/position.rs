//! A follower's position in the feed, and the effect of a frame on it.
//!
//! A frame is applied to the [`RevocationSet`](crate::revocations::RevocationSet) in any case; this module only decides
//! whether the follower's state is complete afterwards. Knows nothing of how frames travel.

use crate::feed::Frame;
use crate::time::UnixTime;

/// A follower's position in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The sequence.
    pub epoch: String,
    /// The position in it.
    pub at: String,
}

/// The completeness of a follower's state after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The state was complete at the `time` of the frame.
    Complete,
    /// Something before the frame is missing, or the frame is an old one, or it lacks what is not an entry of the
    /// sequence.
    Gap,
    /// The frame is of another sequence: the snapshot is needed.
    OtherEpoch,
}

impl Position {
    /// Moves the position if the frame continues at it.
    pub fn advance(&mut self, frame: &Frame) -> Progress {
        if frame.epoch != self.epoch {
            return Progress::OtherEpoch;
        }
        if frame.from.as_deref() == Some(&*self.at) {
            self.at.clone_from(&frame.to);
        }
        if frame.to == self.at && is_current(frame) { Progress::Complete } else { Progress::Gap }
    }
}

/// Returns true if a frame has all that was revoked up to its `time`. A part of a snapshot is not the whole, and a
/// segment lacks what is not an entry of the sequence: `not_before`, and the revoked signing keys.
pub(crate) fn is_current(frame: &Frame) -> bool {
    frame.jwks.is_some() && frame.part.is_none()
}

/// The parts of a snapshot, as they arrive.
#[derive(Debug, Default)]
pub struct Snapshot {
    first: Option<(Position, UnixTime, u32)>,
    next: u32,
    broken: bool,
}

impl Snapshot {
    /// Adds the next part.
    pub fn add(&mut self, frame: &Frame) {
        let Some(part) = frame.part else {
            self.broken = true;
            return;
        };
        let position = Position { epoch: frame.epoch.clone(), at: frame.to.clone() };
        let this = (position, frame.time, part.of);
        self.next += 1;
        self.broken |= part.number != self.next || self.first.as_ref().is_some_and(|first| *first != this);
        self.first.get_or_insert(this);
    }

    /// The position of the snapshot, and the time at which it was complete; `None` if a part is missing or is that of
    /// another snapshot.
    pub fn finish(self) -> Option<(Position, UnixTime)> {
        let (position, time, parts) = self.first?;
        (!self.broken && self.next == parts).then_some((position, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Part;

    fn frame(epoch: &str, from: Option<&str>, to: &str) -> Frame {
        Frame {
            issuer: String::new(),
            time: UnixTime::from_secs(1),
            epoch: epoch.to_owned(),
            from: from.map(str::to_owned),
            to: to.to_owned(),
            not_before: None,
            jwks: Some("current".to_owned()),
            revoked: Vec::new(),
            revoked_before: Vec::new(),
            segments: None,
            part: None,
        }
    }

    fn part(number: u32, of: u32, to: &str) -> Frame {
        Frame { part: Some(Part { number, of }), ..frame("e", None, to) }
    }

    #[test]
    fn frame_that_continues_moves_the_position() {
        let mut position = Position { epoch: "e".to_owned(), at: "5".to_owned() };
        for (from, to, expected, at) in [
            ("5", "5", Progress::Complete, "5"),
            ("5", "7", Progress::Complete, "7"),
            ("5", "7", Progress::Complete, "7"),
            ("8", "9", Progress::Gap, "7"),
            ("5", "6", Progress::Gap, "7"),
            ("9", "9", Progress::Gap, "7"),
            ("7", "9", Progress::Complete, "9"),
        ] {
            assert_eq!(position.advance(&frame("e", Some(from), to)), expected, "{from} {to}");
            assert_eq!(position.at, at);
        }
        assert_eq!(position.advance(&frame("f", Some("9"), "10")), Progress::OtherEpoch);
        assert_eq!(position.advance(&part(1, 2, "9")), Progress::Gap);
        assert_eq!(position, Position { epoch: "e".to_owned(), at: "9".to_owned() });
    }

    #[test]
    fn segment_moves_the_position_and_proves_nothing() {
        let mut position = Position { epoch: "e".to_owned(), at: "5".to_owned() };
        let segment = Frame { jwks: None, ..frame("e", Some("5"), "7") };
        assert_eq!(position.advance(&segment), Progress::Gap);
        assert_eq!(position.at, "7");
    }

    #[test]
    fn snapshot_needs_all_its_parts() {
        let finish = |parts: &[Frame]| {
            let mut snapshot = Snapshot::default();
            parts.iter().for_each(|part| snapshot.add(part));
            snapshot.finish().map(|(position, _)| position.at)
        };
        assert_eq!(finish(&[part(1, 1, "5")]).as_deref(), Some("5"));
        assert_eq!(finish(&[part(1, 2, "5"), part(2, 2, "5")]).as_deref(), Some("5"));
        let later = Frame { time: UnixTime::from_secs(2), ..part(2, 2, "5") };
        for broken in [
            &[][..],
            &[part(1, 2, "5")],
            &[part(2, 2, "5")],
            &[part(2, 2, "5"), part(1, 2, "5")],
            &[part(1, 2, "5"), part(1, 2, "5")],
            &[part(1, 2, "5"), part(2, 2, "6")],
            &[part(1, 2, "5"), part(2, 3, "5")],
            &[part(1, 2, "5"), later],
            &[frame("e", None, "5")],
            &[part(1, 1, "5"), part(1, 1, "5")],
        ] {
            assert_eq!(finish(broken), None, "{broken:?}");
        }
    }
}
