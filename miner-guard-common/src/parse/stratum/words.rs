//! The words that carry structure, and what each means in which place.

use super::context;
use super::mask::{equal, nonzero, some};
use super::rules::*;
use super::shape;

/// Places in which a word or the value under a word may set a bit. 0 is no place.
#[derive(Clone, Copy)]
pub enum Place {
    /// The value of a key of the message itself.
    Message = 1,
    /// The value of a key of `params`.
    Params = 2,
    /// The value of a key of `result`.
    Result = 3,
    /// The value of a key of `result.job`.
    Job = 4,
    /// A string in the array `params`.
    ParamsElement = 5,
    /// A string in an array within the array `result`.
    Nested = 6,
    /// A string in `params[].capabilities`.
    Capability = 7,
    /// The message's `id`, a string.
    Id = 8,
    /// The name of an HTTP header.
    Header = 9,
    /// What a ZMTP subscription asks for.
    Topic = 10,
}

/// Place of a value by its container's context code, arrays from 8 on.
static PLACE: [u8; 16] = {
    let mut table = [0; 16];
    table[context::MESSAGE as usize] = Message as u8;
    table[context::PARAMS as usize] = Params as u8;
    table[context::RESULT as usize] = Result as u8;
    table[context::JOB as usize] = Job as u8;
    table[context::LIST as usize] = ParamsElement as u8;
    table[context::NESTED as usize] = Nested as u8;
    table[(context::CAPABILITIES | context::ARRAY) as usize] = Capability as u8;
    table
};

/// What a word means.
#[derive(Clone, Copy)]
pub struct Word {
    text: &'static [u8],
    group: u8,
    within: u8,
    child: u8,
    effects: [(u8, u8, u16); 3],
}

const fn word(text: &'static str) -> Word {
    Word { text: text.as_bytes(), group: OTHER, within: 0xff, child: 0, effects: [(0, 0, 0); 3] }
}

impl Word {
    /// As the value of `method` it belongs to this group.
    const fn method(mut self, group: u8) -> Self {
        self.group = group;
        self
    }
    /// As a key within `within` it opens the container `child`.
    const fn opens(mut self, within: u8, child: u8) -> Self {
        self.within = within;
        self.child = child;
        self
    }
    /// In `place`, a value of one of `kinds` sets `bit`.
    const fn sets(mut self, place: Place, bit: u64, kinds: u16) -> Self {
        let mut slot = 0;
        while self.effects[slot].0 != 0 {
            slot += 1;
        }
        self.effects[slot] = (place as u8, bit.trailing_zeros() as u8, kinds);
        self
    }
}

/// Index of the word `method`.
pub const METHOD: u8 = 1;
/// Index of the word `id`.
pub const ID: u8 = 2;

use Place::*;
use shape::{AGENT, ANY, ARRAY, HASH, HEX, NUMBER, STRING};

const WORDS: &[Word] = &[
    word(""),
    word("method"),
    word("id"),
    word("login")
        .method(LOGIN)
        .sets(Params, P_LOGIN, STRING)
        .sets(Params, ACCOUNT, shape::WALLET)
        .sets(Id, ID_LOGIN, STRING),
    word("api_key").sets(Message, M_API_KEY, STRING).sets(Message, ACCOUNT, shape::WALLET),
    // Containers
    word("params").opens(context::MESSAGE, context::PARAMS),
    word("body").opens(context::MESSAGE, context::PARAMS),
    word("result").opens(context::MESSAGE, context::RESULT).sets(Params, P_RESULT, HASH),
    word("job").opens(context::RESULT, context::JOB).method(JOB),
    word("capabilities").opens(context::ELEMENT, context::CAPABILITIES),
    // CryptoNote and its kin
    word("pass").sets(Params, P_PASS, ANY),
    word("agent").sets(Params, P_AGENT, AGENT).sets(Params, P_NAMED, STRING),
    word("rigid").sets(Params, P_RIG, STRING),
    word("algo").sets(Params, P_RIG, ARRAY),
    word("algo-perf").sets(Params, P_RIG, shape::OBJECT),
    word("submit").method(SUBMIT),
    word("job_id").sets(Params, P_JOB_ID, ANY).sets(Job, J_ID, ANY),
    word("nonce").sets(Params, P_NONCE, HEX | NUMBER).sets(Message, M_NONCE, HEX),
    word("blob").sets(Params, P_BLOB, HEX).sets(Job, J_BLOB, HEX),
    word("target").sets(Params, P_TARGET, HEX).sets(Job, J_TARGET, HEX),
    // Grin
    word("pre_pow").sets(Params, P_PRE_POW, HEX).sets(Result, R_PRE_POW, HEX),
    word("difficulty").sets(Params, P_HEIGHT, NUMBER).sets(Message, M_DIFFICULTY, NUMBER),
    word("height").sets(Params, P_HEIGHT, NUMBER).sets(Result, R_HEIGHT, NUMBER),
    word("pow").sets(Params, P_POW, ARRAY),
    word("edge_bits").sets(Params, P_RIG, NUMBER),
    word("getjobtemplate").method(TEMPLATE),
    // Beam
    word("input").sets(Message, M_INPUT, HEX),
    word("output").sets(Message, M_OUTPUT, HEX),
    word("solution").method(SUBMIT),
    // Stratum v1 and what grew from it
    word("mining.subscribe").method(SUBSCRIBE),
    word("mining.authorize").method(AUTHORIZE),
    word("mining.authorise").method(AUTHORIZE),
    word("mining.auth").method(AUTHORIZE),
    word("mining.login").method(AUTHORIZE),
    word("mining.hello").method(SUBSCRIBE),
    word("mining.configure").method(EXTEND),
    word("mining.capabilities").method(EXTEND),
    word("mining.extranonce.subscribe").method(EXTEND),
    word("mining.suggest_difficulty").method(EXTEND),
    word("mining.suggest_target").method(EXTEND),
    word("mining.multi_version").method(EXTEND),
    word("mining.get_transactions").method(EXTEND),
    word("mining.submit").method(MINING_SUBMIT),
    word("mining.notify").method(NOTIFY).sets(Nested, R_NOTIFY, STRING),
    word("mining.set_difficulty").method(SET).sets(Nested, R_NOTIFY, STRING),
    word("mining.set_target").method(SET),
    word("mining.set_extranonce").method(SET),
    word("mining.set_version_mask").method(SET),
    word("set_extranonce").method(SET),
    word("EthereumStratum/1.0.0").sets(ParamsElement, A_ETHEREUM, STRING).sets(Nested, R_ETHEREUM, STRING),
    word("NiceHash/1.0.0").sets(ParamsElement, A_ETHEREUM, STRING),
    word("proto").sets(Params, P_PROTO, STRING),
    word("host").sets(Params, P_PROTO, STRING),
    word("publicAddress").sets(Params, P_ADDRESS, HEX),
    // EthProxy
    word("eth_submitLogin").method(ETH_LOGIN),
    word("eth_login").method(ETH_LOGIN),
    word("eth_getWork").method(ETH_GET_WORK),
    word("eth_submitWork").method(ETH_SUBMIT),
    word("eth_submitHashrate").method(ETH_SUBMIT),
    word("worker").sets(Message, M_WORKER, STRING),
    // Coin daemons
    word("getwork").method(GET_WORK),
    word("getblocktemplate").method(GET_BLOCK_TEMPLATE),
    word("get_block_template").method(GET_BLOCK_TEMPLATE),
    word("wallet_address").sets(Params, P_ADDRESS, STRING),
    word("extra_nonce").sets(Params, P_RESERVE, STRING),
    word("reserve_size").sets(Params, P_RESERVE, NUMBER),
    word("coinbasetxn").sets(Capability, CAPABLE, STRING),
    word("workid").sets(Capability, CAPABLE, STRING),
    word("coinbase/append").sets(Capability, CAPABLE, STRING),
    word("submit/coinbase").sets(Capability, CAPABLE, STRING),
    word("time/increment").sets(Capability, CAPABLE, STRING),
    // Heads and topics. Header names are hashed in lower case.
    word("x-mining-extensions").sets(Header, H_CLIENT, ANY),
    word("x-mining-hashrate").sets(Header, H_CLIENT, ANY),
    word("x-stratum").sets(Header, H_SERVER, ANY),
    word("json-minimal-chain_main").sets(Topic, T_BLOCKS, ANY),
    word("json-full-miner_data").sets(Topic, T_BLOCKS, ANY),
];

/// Hash of the empty string (32-bit FNV-1a).
pub const SEED: u32 = 0x811c_9dc5;

/// Adds a byte to a hash.
#[inline(always)]
pub const fn step(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// One word as the automaton reads it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Entry {
    hash: u32,
    /// Method group.
    pub group: u8,
    /// Context in which it opens a container; 0xff: in none.
    pub within: u8,
    /// That container's context.
    pub child: u8,
    place: [u8; 3],
    bit: [u8; 3],
    pad: u8,
    kinds: [u16; 3],
}

const SLOTS: usize = 128;
const BUCKETS: usize = 1024;

static TABLE: [Entry; SLOTS] = {
    let mut table = [Entry {
        hash: 0,
        group: OTHER,
        within: 0xff,
        child: 0,
        place: [0; 3],
        bit: [0; 3],
        pad: 0,
        kinds: [0; 3],
    }; SLOTS];
    let mut i = 0;
    while i < WORDS.len() {
        let word = &WORDS[i];
        let [one, two, three] = word.effects;
        table[i] = Entry {
            hash: hash_of(word.text),
            group: word.group,
            within: word.within,
            child: word.child,
            place: [one.0, two.0, three.0],
            bit: [one.1, two.1, three.1],
            pad: 0,
            kinds: [one.2, two.2, three.2],
        };
        i += 1;
    }
    table
};

const fn hash_of(text: &[u8]) -> u32 {
    let mut hash = SEED;
    let mut i = 0;
    while i < text.len() {
        hash = step(hash, text[i]);
        i += 1;
    }
    hash
}

const fn bucket(hash: u32, factor: u32) -> usize {
    (hash.wrapping_mul(factor) >> 22) as usize % BUCKETS
}

/// A factor that spreads all words over the buckets, one each: looking a word up takes no loop and no branch.
const FACTOR: u32 = {
    let mut factor = 0x9e37_79b1_u32;
    'next: loop {
        let mut used = [false; BUCKETS];
        let mut i = 1;
        while i < WORDS.len() {
            let at = bucket(hash_of(WORDS[i].text), factor);
            if used[at] {
                factor = factor.wrapping_add(0x61c8_8646) | 1;
                continue 'next;
            }
            used[at] = true;
            i += 1;
        }
        break factor;
    }
};

static INDEX: [u8; BUCKETS] = {
    assert!(WORDS.len() <= SLOTS);
    let mut index = [0; BUCKETS];
    let mut i = 1;
    while i < WORDS.len() {
        index[bucket(hash_of(WORDS[i].text), FACTOR)] = i as u8;
        i += 1;
    }
    index
};

/// Index of the word with this hash, 0 if there is none.
#[inline(always)]
pub fn lookup(hash: u32) -> u8 {
    let index = INDEX[bucket(hash, FACTOR)];
    let differs = entry(index).hash ^ hash;
    index & !some((differs >> 16 | differs) as u16)
}

/// The word of an index.
#[inline(always)]
pub fn entry(index: u8) -> &'static Entry {
    &TABLE[index as usize % SLOTS]
}

/// Place of a value whose container has this context code.
#[inline(always)]
pub fn place(context: u8) -> u8 {
    PLACE[context as usize % 16]
}

/// The bits that a value of `kind` sets under (or as) the word, in `place`.
#[inline(always)]
pub fn bits(index: u8, place: u8, kind: u16) -> u64 {
    let word = entry(index);
    effect(word, 0, place, kind) | effect(word, 1, place, kind) | effect(word, 2, place, kind)
}

#[inline(always)]
fn effect(word: &Entry, nth: usize, place: u8, kind: u16) -> u64 {
    let fits = nonzero(word.kinds[nth] & kind) & equal(word.place[nth], place) as u16;
    (fits as u64) << (word.bit[nth] % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_and_no_other() {
        for (i, word) in WORDS.iter().enumerate().skip(1) {
            assert_eq!(lookup(hash_of(word.text)) as usize, i);
        }
        for text in ["", "Login", "mining.subscribe ", "mining", "passwd"] {
            assert_eq!(lookup(hash_of(text.as_bytes())), 0, "{text}");
        }
    }

    #[test]
    fn the_fixed_indexes_are_where_they_are_said_to_be() {
        assert_eq!(WORDS[METHOD as usize].text, b"method");
        assert_eq!(WORDS[ID as usize].text, b"id");
    }
}
