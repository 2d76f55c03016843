//! The yardsticks: the smallest programs and the plain maps that the guard is measured against, assembled by hand so
//! that a measurement needs no compiler and the shipped objects stay free of them. The only unsafe door of the bench.

use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd},
    path::Path,
};

use anyhow::{Context as _, Result};

const MAP_CREATE: i32 = 0;
const PROG_LOAD: i32 = 5;
const MAP_UPDATE_BATCH: i32 = 26;
const LINK_CREATE: i32 = 28;

const MAP_TYPE_HASH: u32 = 1;
const MAP_TYPE_LPM_TRIE: u32 = 11;
const NO_PREALLOC: u32 = 1;
const PROG_TYPE_CGROUP_SOCK_ADDR: u32 = 18;
const PROG_TYPE_CGROUP_SKB: u32 = 8;
const CGROUP_INET4_CONNECT: u32 = 10;
const CGROUP_INET_INGRESS: u32 = 0;
const CGROUP_INET_EGRESS: u32 = 1;

/// `union bpf_attr`: zeros, but for what a command sets, at the offsets of `linux/bpf.h`.
#[derive(Default)]
struct Attr([u64; 18]);

impl Attr {
    fn int(mut self, offset: usize, value: u32) -> Self {
        let shift = (offset % 8) * 8;
        self.0[offset / 8] |= u64::from(value) << shift;
        self
    }

    fn long(mut self, offset: usize, value: u64) -> Self {
        self.0[offset / 8] = value;
        self
    }

    fn call(mut self, command: i32) -> io::Result<i64> {
        self.ask(command)
    }

    /// [`Self::call`] of a command that answers in the attribute.
    fn ask(&mut self, command: i32) -> io::Result<i64> {
        // SAFETY: the attribute outlives the call and its size is given. Pointers in it are set only in this file,
        // from buffers that are borrowed across the call and are as long as the counts and map shapes beside them.
        let done =
            unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), size_of_val(&self.0)) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
    }

    fn open(self, command: i32) -> io::Result<OwnedFd> {
        let fd = i32::try_from(self.call(command)?).map_err(io::Error::other)?;
        // SAFETY: these commands return a new descriptor, which nobody else owns.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

fn number(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

/// A map with IPv4 addresses or prefixes as keys and one byte of value.
pub struct Map {
    fd: OwnedFd,
    longest_prefix: bool,
}

impl Map {
    /// A preallocated hash of addresses.
    pub fn hash(addresses: &[u32]) -> Result<Self> {
        let keys: Vec<u8> = addresses.iter().flat_map(|a| a.to_be_bytes()).collect();
        Self::filled(MAP_TYPE_HASH, 4, 0, &keys)
    }

    /// A trie of prefixes of one length.
    pub fn trie(prefixes: &[u32], bits: u32) -> Result<Self> {
        let key = |p: &u32| [bits.to_ne_bytes(), p.to_be_bytes()].concat();
        let keys: Vec<u8> = prefixes.iter().flat_map(key).collect();
        Self::filled(MAP_TYPE_LPM_TRIE, 8, NO_PREALLOC, &keys)
    }

    fn filled(kind: u32, key_bytes: u32, flags: u32, keys: &[u8]) -> Result<Self> {
        let count = u32::try_from(keys.len())? / key_bytes;
        let create = Attr::default().int(0, kind).int(4, key_bytes).int(8, 1).int(12, count).int(16, flags);
        let fd = create.open(MAP_CREATE).context("creating a BPF map")?;
        let values = vec![1u8; count as usize];
        let fill =
            Attr::default().long(16, keys.as_ptr().addr() as u64).long(24, values.as_ptr().addr() as u64);
        fill.int(32, count).int(36, number(&fd)).call(MAP_UPDATE_BATCH).context("filling a BPF map")?;
        Ok(Self { fd, longest_prefix: kind == MAP_TYPE_LPM_TRIE })
    }
}

/// Programs attached to a cgroup, until they are dropped.
pub struct Hook {
    _links: Vec<OwnedFd>,
}

impl Hook {
    /// At `connect4`, does nothing but return: 1 lets the connection go on, 0 denies it.
    pub fn bare(cgroup: &Path, verdict: i32) -> Result<Self> {
        Self::attach(cgroup, PROG_TYPE_CGROUP_SOCK_ADDR, CGROUP_INET4_CONNECT, &bare(verdict))
    }

    /// At each packet out and in, does nothing but let it go on.
    pub fn packets(cgroup: &Path) -> Result<Self> {
        let mut both = Self::attach(cgroup, PROG_TYPE_CGROUP_SKB, CGROUP_INET_EGRESS, &bare(1))?;
        both._links.extend(Self::attach(cgroup, PROG_TYPE_CGROUP_SKB, CGROUP_INET_INGRESS, &bare(1))?._links);
        Ok(both)
    }

    /// At `connect4`, denies what the map holds.
    pub fn lookup(cgroup: &Path, map: &Map) -> Result<Self> {
        let key_at: i16 = if map.longest_prefix { -8 } else { -4 };
        let code = [
            op(0x61, 2, 1, 4, 0),                  // r2 = ctx->user_ip4
            op(0x63, 10, 2, -4, 0),                // the address to the stack
            op(0x62, 10, 0, -8, 32),               // before it 32, the length that a trie wants
            op(0x18, 1, 1, 0, map.fd.as_raw_fd()), // r1 = the map (two slots)
            0,
            op(0xbf, 2, 10, 0, 0), // r2 = the key
            op(0x07, 2, 0, 0, key_at.into()),
            op(0x85, 0, 0, 0, 1), // bpf_map_lookup_elem
            op(0x55, 0, 0, 2, 0), // found: deny
            op(0xb7, 0, 0, 0, 1),
            op(0x95, 0, 0, 0, 0),
            op(0xb7, 0, 0, 0, 0),
            op(0x95, 0, 0, 0, 0),
        ];
        Self::attach(cgroup, PROG_TYPE_CGROUP_SOCK_ADDR, CGROUP_INET4_CONNECT, &code)
    }

    fn attach(cgroup: &Path, kind: u32, place: u32, code: &[u64]) -> Result<Self> {
        let program = load(kind, place, code)?;
        let dir = std::fs::File::open(cgroup)?;
        let link = Attr::default().int(0, number(&program)).int(4, number(&dir)).int(8, place);
        Ok(Self { _links: vec![link.open(LINK_CREATE).context("attaching a bare program")?] })
    }
}

/// Of the programs without a purpose.
pub const BARE: &str = "bare";

/// A program that returns a number.
fn bare(verdict: i32) -> [u64; 2] {
    [op(0xb7, 0, 0, 0, verdict), op(0x95, 0, 0, 0, 0)]
}

/// [`BARE`], as it lies in memory.
const NAME: u64 = u64::from_ne_bytes(*b"bare\0\0\0\0");

/// A program of a type, for an attach type.
fn load(kind: u32, attach: u32, code: &[u64]) -> Result<OwnedFd> {
    let load = Attr::default()
        .int(0, kind)
        .int(4, u32::try_from(code.len())?)
        .long(8, code.as_ptr().addr() as u64)
        .long(16, c"Dual MIT/GPL".as_ptr().addr() as u64)
        .long(48, NAME)
        .int(68, attach);
    load.open(PROG_LOAD).context("loading a bare program")
}

/// One instruction, as `struct bpf_insn` lies in memory.
fn op(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> u64 {
    let [o0, o1] = offset.to_ne_bytes();
    let [i0, i1, i2, i3] = immediate.to_ne_bytes();
    u64::from_ne_bytes([code, src << 4 | dst, o0, o1, i0, i1, i2, i3])
}

/// What a child of [`dial_in_a_child`] does.
struct Dialling {
    socket: i32,
    to: libc::sockaddr_in,
    calls: u32,
}

/// Starts a child that makes `calls` UDP connects to `to` and ends; waits for it. A process of its own, because the
/// guard holds back the records of one that floods; in the memory of this one, because copying that takes longer than the calls.
pub fn dial_in_a_child(socket: &impl AsFd, to: (Ipv4Addr, u16), calls: u32) -> io::Result<()> {
    /// Bytes of the child's stack.
    const STACK: usize = 1 << 16;
    let to = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: to.1.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(to.0).to_be() },
        sin_zero: [0; 8],
    };
    let mut what = Dialling { socket: socket.as_fd().as_raw_fd(), to, calls };
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    // SAFETY: the worker has one thread, and it stands still (CLONE_VFORK) until the child has ended, which uses this
    // stack from its end down, and `what`. The parent waits for this very child.
    unsafe {
        let (top, flags) = (stack.as_mut_ptr_range().end, libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD);
        match libc::clone(dial, top.cast(), flags, (&raw mut what).cast()) {
            -1 => Err(io::Error::last_os_error()),
            child if libc::waitpid(child, std::ptr::null_mut(), 0) == child => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// What it returns is the status that the child ends with.
extern "C" fn dial(what: *mut libc::c_void) -> i32 {
    // SAFETY: `dial_in_a_child` gives this to its child only.
    let what = unsafe { &*what.cast::<Dialling>() };
    for _ in 0..what.calls {
        // SAFETY: the address is as long as said. Whether the call is refused is what is measured.
        unsafe {
            libc::connect(what.socket, (&raw const what.to).cast(), size_of_val(&what.to) as libc::socklen_t)
        };
    }
    0
}

/// A raw tracepoint's program that does nothing, until it is dropped.
pub struct Tracepoint {
    program: OwnedFd,
    _link: OwnedFd,
}

impl Tracepoint {
    /// Attaches it.
    pub fn bare(name: &str) -> Result<Self> {
        const RAW_TRACEPOINT_OPEN: i32 = 17;
        const PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
        let program = load(PROG_TYPE_RAW_TRACEPOINT, 0, &bare(0))?;
        let name = std::ffi::CString::new(name)?;
        let open = Attr::default().long(0, name.as_ptr().addr() as u64).int(8, number(&program));
        let link = open.open(RAW_TRACEPOINT_OPEN).context("attaching an empty program")?;
        Ok(Self { program, _link: link })
    }

    /// Nanoseconds and calls, while the kernel counts them.
    pub fn counted(&self) -> Result<(u64, u64)> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.program.as_raw_fd()))?;
        counted(&text).context("this kernel does not count what programs take")
    }
}

/// The kernel counts what programs take while this is open.
pub fn counting() -> Result<OwnedFd> {
    const ENABLE_STATS: i32 = 32;
    const RUN_TIME: u32 = 0;
    Attr::default()
        .int(0, RUN_TIME)
        .open(ENABLE_STATS)
        .context("this kernel does not count what programs take")
}

/// Nanoseconds and calls of every program in the kernel, by its name; programs of one name together.
pub fn programs() -> Result<BTreeMap<String, (u64, u64)>> {
    const GET_NEXT_ID: i32 = 11;
    const GET_FD_BY_ID: i32 = 13;
    const OBJ_GET_INFO: i32 = 15;
    let mut out: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut id = 0;
    loop {
        let mut next = Attr::default().int(0, id);
        if next.ask(GET_NEXT_ID).is_err() {
            return Ok(out);
        }
        id = (next.0[0] >> 32) as u32;
        // It may have gone meanwhile.
        let Ok(program) = Attr::default().int(0, id).open(GET_FD_BY_ID) else { continue };
        // `struct bpf_prog_info`: its name is the eighth and ninth word.
        let mut info = [0_u64; 32];
        let ask = Attr::default().int(0, number(&program)).int(4, u32::try_from(size_of_val(&info))?);
        ask.long(8, info.as_mut_ptr().expose_provenance() as u64)
            .call(OBJ_GET_INFO)
            .context("asking what a program is")?;
        let name: Vec<u8> =
            info[8..10].iter().flat_map(|w| w.to_ne_bytes()).take_while(|b| *b != 0).collect();
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd()))?;
        let (ns, calls) = counted(&text).unwrap_or_default();
        let all = out.entry(String::from_utf8_lossy(&name).into_owned()).or_default();
        *all = (all.0 + ns, all.1 + calls);
    }
}

/// What a descriptor's `fdinfo` says under a name.
pub fn described(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

/// Nanoseconds and calls of the program whose `fdinfo` this is.
pub fn counted(text: &str) -> Option<(u64, u64)> {
    described(text, "run_time_ns").zip(described(text, "run_cnt"))
}
