//! The sizes of the blocks that the allocator of a component hands out: four to each doubling, so that a block is at
//! most a quarter larger than what was asked for.

/// Every block begins and ends at a multiple of it.
pub(crate) const ALIGN: usize = 16;
/// As many as there are sizes below half of a 32-bit memory.
pub(crate) const CLASSES: usize = 4 + 4 * 25;

/// The class and the size of the block for so many bytes; none where no memory is that large.
pub(crate) fn block(bytes: usize) -> Option<(usize, usize)> {
    if bytes > 1 << 31 {
        return None;
    }
    let last = bytes.max(1) - 1;
    if last < 4 * ALIGN {
        let class = last / ALIGN;
        return Some((class, (class + 1) * ALIGN));
    }
    // The position of the highest bit, less the two bits that choose among the four.
    let shift = last.ilog2() - 2;
    let step = 1 << shift;
    let class = (last >> shift) - 4 + 4 * (shift as usize - 3);
    Some((class, (last | (step - 1)) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_large_enough_and_little_larger() {
        let mut before = (0, 0);
        for bytes in (1..10_000).chain((1..=2048).map(|mebibyte| mebibyte << 20)) {
            let (class, size) = block(bytes).unwrap();
            assert!(size >= bytes && size % ALIGN == 0 && class < CLASSES, "{bytes}: {size}");
            assert!(size - bytes < ALIGN || (size - bytes) * 4 <= size, "{bytes}: {size}");
            // One size to each class, in order.
            assert!((class == before.0) == (size == before.1) || before.1 == 0, "{bytes}: {class} {size}");
            assert!(class >= before.0 && size >= before.1, "{bytes}");
            before = (class, size);
        }
        assert_eq!(block(usize::MAX), None);
        assert_eq!(
            [16, 17, 64, 65, 128, 129].map(|bytes| block(bytes).unwrap()),
            [(0, 16), (1, 32), (3, 64), (4, 80), (7, 128), (8, 160)]
        );
    }
}
