//! One sample of code: which kinds of instructions are in it?

use std::sync::LazyLock;

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind,
};

/// Instructions of a sample, or of many, by kind. An instruction can be of several kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples.
    pub samples: u32,
    /// Samples without any branch.
    pub straight: u32,
    /// All instructions.
    pub all: u32,
    /// What hashes are made of: rotates (also as two shifts), exclusive or, vector logic, and the instructions made for
    /// hashing.
    pub mix: u32,
    /// Branches, calls, returns, comparisons.
    pub branchy: u32,
    /// Floating point arithmetic.
    pub float: u32,
    /// Integer multiplications.
    pub multiply: u32,
    /// SHA instructions.
    pub sha: u32,
    /// AES rounds.
    pub aes: u32,
    /// Carry-less multiplications.
    pub carryless: u32,
    /// Reads of memory.
    pub load: u32,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, o: Self) {
        self.samples += o.samples;
        self.straight += o.straight;
        self.all += o.all;
        self.mix += o.mix;
        self.branchy += o.branchy;
        self.float += o.float;
        self.multiply += o.multiply;
        self.sha += o.sha;
        self.aes += o.aes;
        self.carryless += o.carryless;
        self.load += o.load;
    }
}

impl Counts {
    /// Whether a single sample looks like code that RandomX's compiler wrote: no branch, multiplications, much mixing.
    #[must_use]
    pub const fn jit_like(&self) -> bool {
        self.straight == self.samples && self.multiply > 0 && self.mix * 20 >= self.all * 3
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Other,
    Rotate,
    Xor,
    Logic,
    Float,
    Multiply,
    Sha,
    Aes,
    Carryless,
    Compare,
    /// Left by an immediate; the width of an element in bits, 0 for a scalar.
    Left(u32),
    /// Right, the same.
    Right(u32),
}

/// By mnemonic: its name says it.
static KINDS: LazyLock<Vec<Kind>> =
    LazyLock::new(|| Mnemonic::values().map(|m| kind(&format!("{m:?}").to_ascii_lowercase())).collect());

fn kind(name: &str) -> Kind {
    // The VEX and EVEX forms do the same.
    let plain = match name.strip_prefix('v') {
        Some(rest) if !matches!(name, "verr" | "verw") => rest,
        _ => name,
    };
    let starts = |list: &[&str]| list.iter().any(|p| plain.starts_with(p));
    let ends = |list: &[&str]| list.iter().any(|p| plain.ends_with(p));
    const LOGIC: [&str; 8] = ["pxor", "por", "pand", "pternlog", "xorp", "andp", "andnp", "orp"];
    const FLOAT: [&str; 30] = [
        "add", "sub", "mul", "div", "sqrt", "min", "max", "cmp", "comis", "ucomis", "cvt", "round", "rcp",
        "rsqrt", "hadd", "hsub", "dpp", "fmadd", "fmsub", "fnmadd", "fnmsub", "getexp", "getmant", "scalef",
        "rndscale", "reduce", "range", "fixupimm", "addsub", "fcmadd",
    ];
    match plain {
        "rol" | "ror" | "rcl" | "rcr" | "rorx" => return Kind::Rotate,
        "xor" => return Kind::Xor,
        "imul" | "mul" | "mulx" => return Kind::Multiply,
        "cmp" | "test" | "bt" | "ptest" => return Kind::Compare,
        "shl" | "sal" => return Kind::Left(0),
        "shr" => return Kind::Right(0),
        "psllw" => return Kind::Left(16),
        "pslld" => return Kind::Left(32),
        "psllq" => return Kind::Left(64),
        "psrlw" => return Kind::Right(16),
        "psrld" => return Kind::Right(32),
        "psrlq" => return Kind::Right(64),
        _ => {}
    }
    if starts(&["prol", "pror", "prot"]) {
        Kind::Rotate
    } else if starts(&["aesenc", "aesdec", "aesimc", "aeskeygen"]) {
        Kind::Aes
    } else if starts(&["sha1", "sha256", "sha512", "sm3", "sm4"]) {
        Kind::Sha
    } else if starts(&["pclmul"]) {
        Kind::Carryless
    } else if starts(&LOGIC) {
        Kind::Logic
    } else if starts(&FLOAT) && ends(&["ss", "sd", "ps", "pd", "ph", "sh", "dq", "si"])
        || name.starts_with('f') && !starts(&["fx", "femms", "fnop"])
    {
        Kind::Float
    } else {
        Kind::Other
    }
}

/// Decodes a sample that begins at the instruction that ran. Any bytes will do: what is no instruction ends the sample.
#[must_use]
pub fn read(bytes: &[u8]) -> Counts {
    let mut out = Counts { samples: 1, straight: 1, ..Counts::default() };
    let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
    let mut info = InstructionInfoFactory::new();
    let mut instruction = Instruction::default();
    // Left and right shifts that are not yet half of a rotate: width, bits.
    let (mut left, mut right) = (Vec::new(), Vec::new());
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.code() == Code::INVALID {
            break;
        }
        let i = &instruction;
        out.all += 1;
        let flow = i.flow_control();
        if flow != FlowControl::Next {
            out.straight = 0;
            out.branchy += 1;
        }
        let access = info.info(i);
        let reads = (0..i.op_count()).any(|n| {
            i.op_kind(n) == OpKind::Memory
                && matches!(
                    access.op_access(n),
                    OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
                )
        });
        out.load += u32::from(reads);
        let kind = KINDS.get(i.mnemonic() as usize).copied().unwrap_or_default();
        match kind {
            Kind::Rotate => out.mix += 1,
            // Exclusive or of a register with itself only clears it.
            Kind::Xor | Kind::Logic => out.mix += u32::from(!clears(i)),
            Kind::Sha => (out.sha, out.mix) = (out.sha + 1, out.mix + 1),
            Kind::Aes => (out.aes, out.mix) = (out.aes + 1, out.mix + 1),
            Kind::Carryless => (out.carryless, out.mix) = (out.carryless + 1, out.mix + 1),
            Kind::Float => out.float += 1,
            Kind::Multiply => out.multiply += 1,
            Kind::Compare => out.branchy += 1,
            Kind::Left(width) => out.mix += pair(i, width, &mut left, &mut right),
            Kind::Right(width) => out.mix += pair(i, width, &mut right, &mut left),
            Kind::Other => {}
        }
        // What follows may not be code.
        if matches!(
            flow,
            FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::IndirectBranch
        ) {
            break;
        }
    }
    out
}

fn clears(i: &Instruction) -> bool {
    let last = i.op_count().saturating_sub(1);
    let registers = |n| i.op_kind(n) == OpKind::Register;
    last > 0
        && registers(last)
        && registers(last - 1)
        && i.op_register(last) == i.op_register(last - 1)
        && !matches!(KINDS.get(i.mnemonic() as usize), Some(Kind::Logic) if keeps(i.mnemonic()))
}

/// `and` and `or` of a register with itself keep it.
fn keeps(m: Mnemonic) -> bool {
    let name = format!("{m:?}").to_ascii_lowercase();
    !name.contains("xor")
}

/// 2 when the shift and an earlier one the other way make a rotate.
fn pair(i: &Instruction, width: u32, own: &mut Vec<(u32, u32)>, other: &mut Vec<(u32, u32)>) -> u32 {
    let last = i.op_count().saturating_sub(1);
    if i.op_kind(last) != OpKind::Immediate8 {
        return 0;
    }
    let bits = u32::from(i.immediate8());
    let width = match width {
        0 if i.op0_kind() == OpKind::Register => i.op0_register().size() as u32 * 8,
        0 => i.memory_size().size() as u32 * 8,
        width => width,
    };
    if let Some(at) = other.iter().position(|o| *o == (width, width.wrapping_sub(bits))) {
        other.swap_remove(at);
        return 2;
    }
    own.push((width, bits));
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rotates_are_seen_also_when_written_as_two_shifts() {
        // rol eax, 7; shl rbx, 13; shr rcx, 51; shl ebx, 13; shr ecx, 51
        let n = read(&[
            0xc1, 0xc0, 7, 0x48, 0xc1, 0xe3, 13, 0x48, 0xc1, 0xe9, 51, 0xc1, 0xe3, 13, 0xc1, 0xe9, 51,
        ]);
        assert_eq!((n.all, n.mix, n.straight), (5, 3, 1));
    }

    #[test]
    fn clearing_a_register_is_no_mixing() {
        // xor eax, eax; pxor xmm0, xmm0; xor eax, ecx; pxor xmm0, xmm1
        let n = read(&[0x31, 0xc0, 0x66, 0x0f, 0xef, 0xc0, 0x31, 0xc8, 0x66, 0x0f, 0xef, 0xc1]);
        assert_eq!((n.all, n.mix), (4, 2));
    }

    #[test]
    fn instructions_made_for_hashing_and_arithmetic_are_told_apart() {
        // sha256rnds2 xmm1, xmm2; aesenc xmm1, xmm2; addsd xmm0, [rax]; imul rax, rbx; movaps xmm0, xmm1; fadd st, st1
        let n = read(&[
            0x0f, 0x38, 0xcb, 0xca, 0x66, 0x0f, 0x38, 0xdc, 0xca, 0xf2, 0x0f, 0x58, 0x00, 0x48, 0x0f, 0xaf,
            0xc3, 0x0f, 0x28, 0xc1, 0xd8, 0xc1,
        ]);
        assert_eq!((n.all, n.sha, n.aes, n.float, n.multiply, n.load, n.mix), (6, 1, 1, 2, 1, 1, 2));
    }

    #[test]
    fn a_sample_ends_with_a_jump_that_is_always_taken() {
        // cmp eax, ecx; jne +2; jmp +2; then bytes that are no code
        let n = read(&[0x39, 0xc8, 0x75, 2, 0xeb, 2, 0x31, 0xc8]);
        assert_eq!((n.all, n.branchy, n.straight, n.mix), (3, 3, 0, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_counted_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let n = read(&bytes);
            prop_assert!(n.all as usize <= bytes.len());
            prop_assert!(n.mix <= 2 * n.all && n.branchy <= 2 * n.all && n.load <= n.all);
        }
    }
}
