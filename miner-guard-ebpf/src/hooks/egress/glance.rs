//! The common question: plain, whole in its datagram, for a name that nobody lists. It is looked at in a room of this CPU,
//! in few calls, and leaves no trace. Whatever is not so common goes the long way, which decides and tells.

use aya_ebpf::{bindings::__sk_buff, btf_maps::PerCpuArray, macros::btf_map};
use miner_guard_common::{
    abi::policy::Class,
    parse::{
        bytes::Bytes as _,
        dns::plain::{HEAD, Letters, WORDS},
    },
    table::{self, Header, NameHasher},
};

use crate::{
    packet::Packet,
    policy::{Generation, questions},
    sockets::{self, Slot},
};

/// Where one question is read at a time.
#[repr(C)]
struct Room {
    /// Who reads here now, see [`sockets::enter`]: a task may be taken off this CPU, or interrupted, while it does.
    users: u64,
    hasher: NameHasher,
    /// Labels that were hashed.
    labels: u64,
    letters: Letters,
}

#[btf_map]
static ROOM: PerCpuArray<Room, 1> = PerCpuArray::new();

#[inline(always)]
fn room() -> Option<Slot<Room>> {
    ROOM.get_ptr_mut(0).and_then(Slot::new)
}

/// Whether the message at `at`, of `len` bytes, asks for one name, which nobody lists.
#[inline(always)]
pub fn is_harmless(skb: *mut __sk_buff, at: u32, len: u32) -> bool {
    step_glance(skb, at, len) != 0
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_glance(skb: *mut __sk_buff, at: u32, len: u32) -> u32 {
    if !questions::lists_names() {
        return 1;
    }
    let Some(room) = room() else { return 0 };
    sockets::enter(&raw mut room.get().users);
    let harmless = room.get().users == 1 && read(Packet::new(skb), at, len, room) && nothing_listed(room);
    sockets::leave(&raw mut room.get().users);
    u32::from(harmless)
}

/// Reads the name; whether it is a plain one.
#[inline(always)]
fn read(packet: Packet, at: u32, len: u32, room: Slot<Room>) -> bool {
    let Some(head) = packet.array::<HEAD>(at as usize) else { return false };
    if !Letters::is_plain(&head) {
        return false;
    }
    const ALL: u32 = 8 * WORDS as u32;
    let rest = len.saturating_sub(HEAD as u32);
    let n = if rest < ALL { rest } else { ALL };
    let letters = &mut room.get().letters;
    packet.copy_words(at.wrapping_add(HEAD as u32), n, letters.room(n)) && letters.read(head[HEAD - 1], n)
}

/// Asks for every suffix of the name, the shortest first.
#[inline(always)]
fn nothing_listed(room: Slot<Room>) -> bool {
    if room.get().letters.is_empty() {
        return true;
    }
    let Some(hasher) = Generation::current().and_then(|g| table::name_hasher(&g)) else { return false };
    room.get().hasher = hasher;
    room.get().labels = 0;
    let mut k = 0;
    while k < WORDS as u32 {
        let outcome = step_glance_word(k);
        if outcome != MORE {
            return outcome == NOTHING;
        }
        k += 1;
    }
    false
}

const LISTED: u32 = 0;
const NOTHING: u32 = 1;
const MORE: u32 = 2;

/// The suffixes that begin within eight characters.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step_glance_word(k: u32) -> u32 {
    let Some(room) = room() else { return LISTED };
    let Some(generation) = Generation::current() else { return LISTED };
    let Some(header) = Header::read(&generation) else { return LISTED };
    let room = room.get();
    let (word, len) = (room.letters.from_end(k), room.letters.len());
    let mut j = 0;
    while j < 8 {
        if (word >> (8 * j)) as u8 == b'.' {
            room.labels += 1;
            let suffix = word & ((1 << (8 * j)) - 1);
            if header.has_below(room.labels as u32)
                && questions::tag_of(room.hasher.key_with(suffix, u64::from(8 * k + j), Class::DomainBelow))
                    != 0
            {
                return LISTED;
            }
        }
        j += 1;
    }
    let left = len.wrapping_sub(8 * k);
    if left >= 8 {
        room.hasher.push_word(word);
    }
    if left > 8 {
        return MORE;
    }
    let tail = if left == 8 { 0 } else { word };
    let whole = room.hasher.key_with(tail, len.into(), Class::Domain);
    if header.has(Class::Domain) && questions::tag_of(whole) != 0 { LISTED } else { NOTHING }
}
