//! Choices without a branch. A mask is all ones, or zero.

/// `a` where the mask is all ones, `b` where it is zero.
#[inline(always)]
pub const fn choose(mask: u8, a: u8, b: u8) -> u8 {
    b ^ (a ^ b) & mask
}

/// A mask, as wide as a record's field.
#[inline(always)]
pub const fn wide(mask: u8) -> u64 {
    mask as i8 as i64 as u64
}

/// What a mask can choose.
pub trait Field {
    /// `a` where the mask is all ones, `b` where it is zero.
    fn choose(mask: u8, a: Self, b: Self) -> Self;
}

macro_rules! field {
    ($($t:ty)*) => {
        $(impl Field for $t {
            #[inline(always)]
            fn choose(mask: u8, a: Self, b: Self) -> Self {
                b ^ (a ^ b) & wide(mask) as $t
            }
        })*
    };
}
field!(u8 u16 u32 u64);

/// All ones for 0, zero for the rest. Read from memory, since the compiler sees through every way to compute
/// it and makes a branch of it.
static IS_ZERO: [u8; 256] = {
    let mut table = [0; 256];
    table[0] = 0xff;
    table
};

/// A byte as the index of a table of 256. The verifiers of 5.10 and 6.1 forget that a byte "or" another is a byte, and
/// see it again when it comes from memory.
#[inline(always)]
pub fn index(byte: u8) -> usize {
    core::hint::black_box(byte) as usize
}

/// All ones for 0.
#[inline(always)]
pub fn none(x: u8) -> u8 {
    IS_ZERO[index(x)]
}

/// All ones for anything but zero.
#[inline(always)]
pub fn some(x: u16) -> u8 {
    !none((x | x >> 8) as u8)
}

/// All ones if the two are equal.
#[inline(always)]
pub fn equal(a: u8, b: u8) -> u8 {
    none(a ^ b)
}

/// 0 for 0, 1 for anything else.
#[inline(always)]
pub fn nonzero(x: u16) -> u16 {
    (some(x) & 1) as u16
}

/// As [`nonzero`]: the carry of an addition, in halves.
#[inline(always)]
pub const fn nonzero_wide(x: u64) -> u8 {
    const HALF: u64 = 0xffff_ffff;
    ((((x & HALF) + HALF) >> 32) | (((x >> 32) + HALF) >> 32)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masks_agree_with_the_questions_they_stand_for() {
        for x in [0_u16, 1, 2, 7, 14, 15, 16, 255, 256, 2048, 0x7fff] {
            assert_eq!(nonzero(x) == 1, x != 0);
            assert_eq!(some(x) == 0xff, x != 0);
            assert_eq!(nonzero_wide(u64::from(x) << 33) == 1, x != 0);
            assert_eq!(equal(x as u8, 15) == 0xff, x as u8 == 15);
        }
        assert_eq!((choose(0xff, 3, 5), choose(0, 3, 5), wide(0xff), wide(0)), (3, 5, u64::MAX, 0));
    }
}
