//! Dialects: what must have been seen for a message to be one of theirs. A dialect is a few rows.

use super::mask::nonzero_wide;
use crate::abi::verdict::byte_enum;

byte_enum! {
    /// A mining protocol.
    Dialect {
        /// Stratum v1 as Bitcoin miners began it; also Zcash, Kaspa, KawPow …
        StratumV1 = 1 => "stratum-v1",
        /// The login protocol of CryptoNote coins: XMRig and its kin; Grin's login looks the same.
        CryptoNote = 2 => "cryptonote",
        /// EthProxy: Ethereum's JSON-RPC over a bare connection.
        EthProxy = 3 => "ethproxy",
        /// EthereumStratum/1.0.0, NiceHash's.
        EthereumStratum1 = 4 => "ethstratum-1",
        /// EthereumStratum/2.0.0
        EthereumStratum2 = 5 => "ethstratum-2",
        /// Grin
        Grin = 6 => "grin",
        /// Beam
        Beam = 7 => "beam",
        /// `getwork`, with or without HTTP
        GetWork = 8 => "getwork",
        /// `getblocktemplate` as a miner asks for it
        BlockTemplate = 9 => "getblocktemplate",
        /// A coin daemon's block announcements over ZeroMQ, as p2pool and XMRig subscribe to them
        DaemonTopic = 10 => "daemon-zmq",
    }
}

byte_enum! {
    /// Which side of the protocol the sender is.
    Role {
        /// A miner that opens a session: nothing has been mined yet.
        Opening = 1 => "opening",
        /// A miner at work: it hands in shares or reports its rate.
        Submit = 2 => "submit",
        /// A pool or proxy: the sender hands out work.
        Server = 3 => "pool-server",
        /// Something that follows a coin's blocks. Wallets and explorers do so too: never more than an alert.
        Follower = 4 => "follower",
    }
}

/// What was found in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The protocol.
    pub dialect: Dialect,
    /// The sender's side of it.
    pub role: Role,
}

// Bits: what was seen where. Bit 0 says that a message has begun.

macro_rules! bits {
    ($($(#[$m:meta])* $name:ident = $n:literal,)+) => { $($(#[$m])* pub(super) const $name: u64 = 1 << $n;)+ };
}

bits! {
    // Keys of the message
    M_WORKER = 1, M_API_KEY = 2, M_INPUT = 3, M_OUTPUT = 4, M_NONCE = 5, M_DIFFICULTY = 6,
    /// The message's id is the string `login`.
    ID_LOGIN = 7,
    // Keys of the parameters
    P_LOGIN = 8, P_PASS = 9, P_AGENT = 10,
    /// What only a miner says of itself.
    P_RIG = 11,
    P_JOB_ID = 12, P_NONCE = 13, P_RESULT = 14, P_BLOB = 15, P_TARGET = 16, P_PRE_POW = 17, P_HEIGHT = 18, P_POW = 19,
    P_PROTO = 20, P_ADDRESS = 21, P_RESERVE = 22,
    /// The login, or the API key, is a wallet's address.
    ACCOUNT = 23,
    // Elements of the parameter array: seven kinds each, in the order of `shape`; the third stands for all later ones.
    A0_LITERAL = 24, A0_NUMBER = 25, A0_STRING = 26, A0_HEX = 27, A0_HASH = 28, A0_ARRAY = 29, A0_OBJECT = 30,
    A1_HEX = 34,
    /// An element names NiceHash's dialect.
    A_ETHEREUM = 45,
    /// A parameter array without elements.
    EMPTY = 46,
    // The answer
    R_PRE_POW = 47, R_HEIGHT = 48, J_ID = 49, J_BLOB = 50, J_TARGET = 51, R_NOTIFY = 52, R_ETHEREUM = 53,
    // Elsewhere
    CAPABLE = 54, H_CLIENT = 55, H_SERVER = 56, T_BLOCKS = 57,
    /// `agent` is a string, whatever it says.
    P_NAMED = 58,
}

/// A second, a third element of any kind.
const A1_ANY: u64 = KINDS << 31;
const A2_ANY: u64 = KINDS << 38;
const KINDS: u64 = 0x7f;

/// The bits of an element of this kind.
#[inline(always)]
pub(super) fn element(index: u8, kind: u16) -> u64 {
    (kind as u64 & KINDS) << (24 + 7 * (index & 3))
}

// Groups of methods. A message is compared with the rows of its method's group only.

/// No method: an answer.
pub(super) const ANSWER: u8 = 0;
/// A method that no rule knows.
pub(super) const OTHER: u8 = 1;
pub(super) const LOGIN: u8 = 2;
pub(super) const SUBSCRIBE: u8 = 3;
pub(super) const AUTHORIZE: u8 = 4;
pub(super) const EXTEND: u8 = 5;
pub(super) const MINING_SUBMIT: u8 = 6;
pub(super) const ETH_LOGIN: u8 = 7;
pub(super) const ETH_GET_WORK: u8 = 8;
pub(super) const ETH_SUBMIT: u8 = 9;
pub(super) const GET_WORK: u8 = 10;
pub(super) const GET_BLOCK_TEMPLATE: u8 = 11;
pub(super) const JOB: u8 = 12;
pub(super) const SUBMIT: u8 = 13;
pub(super) const NOTIFY: u8 = 14;
pub(super) const SET: u8 = 15;
/// Grin's `getjobtemplate`, which its answer repeats as a method.
pub(super) const TEMPLATE: u8 = 16;
/// No message at all: an HTTP head, or a ZMTP frame.
pub(super) const HEAD: u8 = 17;

#[derive(Clone, Copy)]
struct Rule {
    group: u8,
    /// All of these …
    need: u64,
    /// … and one of these.
    any: u64,
    dialect: Dialect,
    role: Role,
}

const fn rule(group: u8, need: u64, any: u64, dialect: Dialect, role: Role) -> Rule {
    Rule { group, need, any: if any == 0 { need } else { any }, dialect, role }
}

use Dialect::*;
use Role::*;

/// Every dialect. At most three rows a group; the first that fits wins.
const RULES: &[Rule] = &[
    rule(ANSWER, R_ETHEREUM | R_NOTIFY, 0, EthereumStratum1, Server),
    rule(ANSWER, R_NOTIFY, 0, StratumV1, Server),
    rule(ANSWER, J_ID | J_BLOB | J_TARGET, 0, CryptoNote, Server),
    rule(HEAD, H_CLIENT, 0, GetWork, Opening),
    rule(HEAD, H_SERVER, 0, GetWork, Server),
    rule(HEAD, T_BLOCKS, 0, DaemonTopic, Follower),
    rule(LOGIN, P_LOGIN | P_PASS, P_AGENT | ACCOUNT | P_RIG, CryptoNote, Opening),
    rule(LOGIN, P_LOGIN | P_AGENT, ACCOUNT | P_RIG, CryptoNote, Opening),
    rule(LOGIN, M_API_KEY, ID_LOGIN | ACCOUNT, Beam, Opening),
    rule(SUBSCRIBE, A0_STRING | A_ETHEREUM, 0, EthereumStratum1, Opening),
    rule(SUBSCRIBE, 0, A0_STRING | A0_LITERAL | EMPTY | P_ADDRESS, StratumV1, Opening),
    rule(SUBSCRIBE, P_PROTO | P_NAMED, 0, EthereumStratum2, Opening),
    rule(AUTHORIZE, A0_STRING, 0, StratumV1, Opening),
    rule(EXTEND, 0, A0_STRING | A0_NUMBER | A0_ARRAY | A0_OBJECT | EMPTY, StratumV1, Opening),
    rule(MINING_SUBMIT, A0_STRING, A2_ANY, StratumV1, Submit),
    rule(ETH_LOGIN, A0_STRING, 0, EthProxy, Opening),
    rule(ETH_GET_WORK, 0, EMPTY | M_WORKER | A0_STRING, EthProxy, Opening),
    rule(ETH_SUBMIT, A0_HEX | A1_HEX, 0, EthProxy, Submit),
    rule(GET_WORK, EMPTY, 0, GetWork, Opening),
    rule(GET_WORK, A0_HASH, 0, GetWork, Submit),
    rule(GET_BLOCK_TEMPLATE, P_ADDRESS | P_RESERVE, 0, BlockTemplate, Opening),
    rule(GET_BLOCK_TEMPLATE, CAPABLE, 0, BlockTemplate, Opening),
    rule(JOB, P_BLOB | P_JOB_ID | P_TARGET, 0, CryptoNote, Server),
    rule(JOB, P_PRE_POW | P_JOB_ID | P_HEIGHT, 0, Grin, Server),
    rule(JOB, M_INPUT | M_DIFFICULTY, 0, Beam, Server),
    rule(SUBMIT, P_JOB_ID | P_NONCE | P_RESULT, 0, CryptoNote, Submit),
    rule(SUBMIT, P_JOB_ID | P_NONCE | P_POW, 0, Grin, Submit),
    rule(SUBMIT, M_NONCE | M_OUTPUT, 0, Beam, Submit),
    rule(NOTIFY, A0_STRING, A1_ANY, StratumV1, Server),
    rule(SET, 0, A0_NUMBER | A0_HEX, StratumV1, Server),
    rule(TEMPLATE, R_PRE_POW | R_HEIGHT, 0, Grin, Server),
];

/// Rows a group has room for.
const WIDTH: usize = 3;
/// Slots of the table: a power of two, so that a mask keeps an index inside.
const SLOTS: usize = 64;

#[derive(Clone, Copy)]
#[repr(C)]
struct Row {
    need: u64,
    any: u64,
}

/// A row that nothing fits.
const NONE: Row = Row { need: u64::MAX, any: 0 };

static ROWS: [Row; SLOTS] = {
    let mut rows = [NONE; SLOTS];
    let mut i = 0;
    while i < RULES.len() {
        rows[row_of(i)] = Row { need: RULES[i].need, any: RULES[i].any };
        i += 1;
    }
    rows
};

/// The row of rule `i`: it comes after the rules of the same group before it.
const fn row_of(i: usize) -> usize {
    let mut nth = 0;
    let mut j = 0;
    while j < i {
        if RULES[j].group == RULES[i].group {
            nth += 1;
        }
        j += 1;
    }
    assert!(nth < WIDTH && RULES[i].group as usize * WIDTH + nth < SLOTS);
    RULES[i].group as usize * WIDTH + nth
}

/// The row of the group that fits, plus one; 0 if none does. Without a branch: with them, the rows of two
/// groups would make hundreds of paths, and the verifier walks them for each byte of a window.
#[inline(always)]
pub(super) fn judge(seen: u64, group: u8) -> u8 {
    let mut found = 0;
    for nth in (0..WIDTH).rev() {
        let at = (group as usize * WIDTH + nth) % SLOTS;
        let row = &ROWS[at];
        let fits = (nonzero_wide(row.need & !seen) ^ 1) & nonzero_wide(seen & row.any);
        found ^= (found ^ (at as u8 + 1)) & fits.wrapping_neg();
    }
    found
}

/// The meaning of each row.
static FINDINGS: [Option<Finding>; SLOTS] = {
    let mut findings = [None; SLOTS];
    let mut i = 0;
    while i < RULES.len() {
        findings[row_of(i)] = Some(Finding { dialect: RULES[i].dialect, role: RULES[i].role });
        i += 1;
    }
    findings
};

/// The meaning of what [`judge`] returned.
#[inline(always)]
pub(super) fn finding(found: u8) -> Option<Finding> {
    if found == 0 { None } else { FINDINGS[found.wrapping_sub(1) as usize % SLOTS] }
}
