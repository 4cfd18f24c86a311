//! The passes over the memory (RFC 9106, 3.2, steps 5 and 6): the same for every kernel, and without unsafe code.

use argon2::{Algorithm, Block, Params, Version};

use crate::kernel::{Kernel, Step};
use crate::layout::{Layout, Position, SLICES};

/// Random numbers in a block of addresses (RFC 9106, 3.4.1.2).
const ADDRESSES: usize = 128;

/// Blocks between two pauses: some 50 µs.
const PAUSE_AFTER: usize = 256;

/// Fills the memory. The first two blocks of each lane are filled already.
pub(crate) fn fill<K: Kernel>(
    kernel: K,
    (algorithm, version, params): (Algorithm, Version, &Params),
    memory: &mut [Block],
    pause: &mut dyn FnMut(),
) {
    let layout = Layout::new(params);
    let mut filling = Filling { kernel, layout, memory, scratch: [Block::new(); 2], pause };
    for pass in 0..params.t_cost() {
        for slice in 0..SLICES {
            // The lanes of a slice do not depend on each other.
            for lane in 0..layout.lanes {
                let independent = match algorithm {
                    Algorithm::Argon2i => true,
                    Algorithm::Argon2id => pass == 0 && slice < SLICES / 2,
                    Algorithm::Argon2d => false,
                };
                let start = Position { pass, slice, lane, index: if pass == 0 && slice == 0 { 2 } else { 0 } };
                let addresses = independent.then(|| Addresses::new(kernel, layout, start, algorithm, params));
                // Before version 0x13 a pass overwrote the blocks of the pass before it.
                let combine = pass > 0 && version == Version::V0x13;
                filling.segment(start, addresses, combine);
            }
        }
    }
}

struct Filling<'a, K> {
    kernel: K,
    layout: Layout,
    memory: &'a mut [Block],
    scratch: [Block; 2],
    pause: &'a mut dyn FnMut(),
}

impl<K: Kernel> Filling<'_, K> {
    fn segment(&mut self, start: Position, mut addresses: Option<Addresses<K>>, combine: bool) {
        let Self { kernel, layout, memory, scratch, pause } = self;
        let mut previous = layout.previous(start);
        let random =
            addresses.as_mut().map_or_else(|| memory[previous].as_ref()[0], |addresses| addresses.get(start.index));
        let mut reference = layout.reference(start, random);
        for index in start.index..layout.segment {
            if index.is_multiple_of(PAUSE_AFTER) {
                pause();
            }
            let block = layout.of(Position { index, ..start });
            let step = Step { previous, reference, block, combine };
            let next = Position { index: index + 1, ..start };
            if next.index == layout.segment {
                // The next block is in another segment. It is not worth a prefetch.
                kernel.fill(memory, step, scratch, |_| block);
                return;
            }
            // Where the next block is written: its memory is fetched for writing too, and is read after the first pass.
            kernel.prefetch(memory, block + 1);
            reference = if let Some(addresses) = &mut addresses {
                let next = layout.reference(next, addresses.get(next.index));
                kernel.prefetch(memory, next);
                kernel.fill(memory, step, scratch, |_| next)
            } else {
                kernel.fill(memory, step, scratch, |random| layout.reference(next, random))
            };
            previous = block;
        }
    }
}

/// The random numbers of a segment whose memory accesses do not depend on the password (RFC 9106, 3.4.1.2).
struct Addresses<K> {
    kernel: K,
    /// Zeros, the counter and the parameters, an intermediate result, and the numbers.
    blocks: [Block; 4],
    scratch: [Block; 2],
}

impl<K: Kernel> Addresses<K> {
    fn new(kernel: K, layout: Layout, start: Position, algorithm: Algorithm, params: &Params) -> Self {
        let mut this = Self { kernel, blocks: [Block::new(); 4], scratch: [Block::new(); 2] };
        this.blocks[1].as_mut()[..6].copy_from_slice(&[
            u64::from(start.pass),
            start.lane as u64,
            start.slice as u64,
            layout.blocks() as u64,
            u64::from(params.t_cost()),
            algorithm as u64,
        ]);
        if start.index > 0 {
            this.generate();
        }
        this
    }

    /// The number for a block of the segment. Blocks are asked for in order.
    fn get(&mut self, index: usize) -> u64 {
        if index.is_multiple_of(ADDRESSES) {
            self.generate();
        }
        self.blocks[3].as_ref()[index % ADDRESSES]
    }

    fn generate(&mut self) {
        self.blocks[1].as_mut()[6] += 1;
        for (reference, block) in [(1, 2), (2, 3)] {
            let step = Step { previous: 0, reference, block, combine: false };
            self.kernel.fill(&mut self.blocks, step, &mut self.scratch, |_| block);
        }
    }
}
