//! The blocks from which each block is computed (RFC 9106, 3.4): arithmetic on indices, without blocks.

use argon2::Params;

/// Segments of a lane in each pass (RFC 9106, 3.4): a block refers to blocks of other lanes in completed segments only.
pub(crate) const SLICES: usize = 4;

/// The division of the memory into lanes and segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) lanes: usize,
    pub(crate) segment: usize,
}

/// A block to be computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) pass: u32,
    pub(crate) slice: usize,
    pub(crate) lane: usize,
    /// Index in the segment.
    pub(crate) index: usize,
}

impl Layout {
    /// The layout for these parameters. Memory that does not divide into segments is not used.
    pub(crate) fn new(params: &Params) -> Self {
        let lanes = params.p_cost() as usize;
        Self { lanes, segment: params.m_cost() as usize / (SLICES * lanes) }
    }

    /// Blocks of a lane.
    pub(crate) fn lane(self) -> usize {
        SLICES * self.segment
    }

    /// Blocks of all lanes.
    pub(crate) fn blocks(self) -> usize {
        self.lanes * self.lane()
    }

    /// The index of the block.
    pub(crate) fn of(self, at: Position) -> usize {
        at.lane * self.lane() + at.slice * self.segment + at.index
    }

    /// The block before it in its lane; before the first one, the last one of the previous pass.
    pub(crate) fn previous(self, at: Position) -> usize {
        let block = self.of(at);
        if at.slice == 0 && at.index == 0 { block + self.lane() - 1 } else { block - 1 }
    }

    /// The block that the random number refers to (RFC 9106, 3.4.1.3 and 3.4.2): never the block itself or the one
    /// before it, and in other lanes no block of the current segment.
    #[inline]
    pub(crate) fn reference(self, at: Position, random: u64) -> usize {
        let first = at.pass == 0;
        let lane = match (first && at.slice == 0, self.lanes) {
            // The division is a considerable part of the wait for the next block, and one lane is the usual number.
            (true, _) | (_, 1) => at.lane,
            (false, lanes) => (random >> 32) as usize % lanes,
        };
        let completed = if first { at.slice * self.segment } else { self.lane() - self.segment };
        let area = if lane == at.lane { completed + at.index - 1 } else { completed - usize::from(at.index == 0) };
        let square = (random & 0xffff_ffff).pow(2) >> 32;
        let relative = area - 1 - ((area as u64 * square) >> 32) as usize;
        // In the first pass the area begins with the lane, later after the current segment.
        let begin = if first || at.slice == SLICES - 1 { 0 } else { (at.slice + 1) * self.segment };
        let index = begin + relative;
        lane * self.lane() + if index < self.lane() { index } else { index - self.lane() }
    }
}
