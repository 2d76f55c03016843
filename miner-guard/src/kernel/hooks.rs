//! The one table of programs: what attaches where, and what is lost without it. A new hook is a row here, a file
//! in `miner-guard-ebpf/src/hooks/` and a line in one of its `objects/`.

/// A loadable object: the programs that need the same kernel features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Socket address hooks.
    Net,
    /// The exec tracepoint.
    Exec,
    /// Packets on their way out.
    Egress,
    /// Packets from name servers.
    Answers,
    /// What leaves by network interfaces.
    Frames,
    /// LSM hooks: only where `bpf` is an active LSM.
    Lsm,
    /// What is hung on isolated cgroups.
    Isolate,
    /// What is hung on the guarded cgroup once somebody opens a packet socket.
    Options,
    /// Rounding modes and code samples: the daemon's own, not pinned.
    Runtime,
}

impl Object {
    /// Whether its hooks hang on a cgroup, so that they see nothing outside it.
    pub const fn hangs_on_a_cgroup(self) -> bool {
        matches!(self, Self::Net | Self::Egress | Self::Answers | Self::Isolate | Self::Options)
    }
}

/// Where a program attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The guarded cgroup.
    SockAddr,
    /// The guarded cgroup, for packets on their way out.
    Egress,
    /// The guarded cgroup, for packets that arrive.
    Ingress,
    /// Every interface of this network namespace, for packets that leave by it. The hook's is the program for Ethernet.
    Interfaces,
    /// A raw tracepoint, host-wide.
    RawTracepoint(&'static str),
    /// The same, and the verifier knows the types of its arguments, host-wide. Not pinned.
    TypedTracepoint(&'static str),
    /// An LSM hook, host-wide.
    Lsm(&'static str),
    /// The clock of each CPU, host-wide.
    Clock,
}

/// A row of the table.
#[derive(Debug)]
pub struct Hook {
    /// Name for operators.
    pub name: &'static str,
    /// Name of the program in its object.
    pub program: &'static str,
    /// Its object.
    pub object: Object,
    /// Where it attaches.
    pub place: Place,
    /// Without it the guard does not start.
    pub required: bool,
    /// What is lost without it.
    pub without: &'static str,
}

/// All hooks, in the order of attachment.
pub const HOOKS: &[Hook] = &[
    Hook {
        name: "connect4",
        program: "mg_connect4",
        object: Object::Net,
        place: Place::SockAddr,
        required: true,
        without: "no IPv4 connection is checked",
    },
    Hook {
        name: "connect6",
        program: "mg_connect6",
        object: Object::Net,
        place: Place::SockAddr,
        required: true,
        without: "no IPv6 connection is checked",
    },
    Hook {
        name: "sendmsg4",
        program: "mg_sendmsg4",
        object: Object::Net,
        place: Place::SockAddr,
        required: true,
        without: "unconnected IPv4 datagrams are not checked",
    },
    Hook {
        name: "sendmsg6",
        program: "mg_sendmsg6",
        object: Object::Net,
        place: Place::SockAddr,
        required: true,
        without: "unconnected IPv6 datagrams are not checked",
    },
    Hook {
        name: "egress",
        program: "mg_egress",
        object: Object::Egress,
        place: Place::Egress,
        required: true,
        without: "names, TLS server names and mining protocols are not seen, and connections older than the guard go on",
    },
    Hook {
        name: "exec",
        program: "mg_exec",
        object: Object::Exec,
        place: Place::RawTracepoint("sched_process_exec"),
        required: true,
        without: "no program is identified",
    },
    Hook {
        name: "ingress",
        program: "mg_ingress",
        object: Object::Answers,
        place: Place::Ingress,
        required: false,
        without: "no address is learned from the answers to denied names",
    },
    Hook {
        name: "frame",
        program: "mg_frame",
        object: Object::Frames,
        place: Place::Interfaces,
        required: false,
        without: "frames of packet sockets (AF_PACKET, which need CAP_NET_RAW) are not checked",
    },
    Hook {
        name: "lsm-exec",
        program: "mg_bprm_check",
        object: Object::Lsm,
        place: Place::Lsm("bprm_check_security"),
        required: false,
        without: "a known miner is killed before its first user instruction instead of failing execve with EPERM",
    },
    Hook {
        name: "lsm-mmap",
        program: "mg_mmap_file",
        object: Object::Lsm,
        place: Place::Lsm("mmap_file"),
        required: false,
        without: "a known miner that ld.so is told to run is found by the daemon instead of refused by the kernel",
    },
    Hook {
        name: "fpu",
        program: "mg_fpu",
        object: Object::Runtime,
        place: Place::TypedTracepoint("x86_fpu_regs_deactivated"),
        required: false,
        without: "RandomX is not told by its rounding modes, only by its code",
    },
    Hook {
        name: "sample",
        program: "mg_sample",
        object: Object::Runtime,
        place: Place::Clock,
        required: false,
        without: "a running program is not told by its code, only by its file and its connections",
    },
];

/// What is hung on each isolated cgroup.
pub const ISOLATING: &[Hook] = &[
    isolating("connect4", "mg_isolate_c4", Place::SockAddr),
    isolating("connect6", "mg_isolate_c6", Place::SockAddr),
    isolating("sendmsg4", "mg_isolate_s4", Place::SockAddr),
    isolating("sendmsg6", "mg_isolate_s6", Place::SockAddr),
    isolating("egress", "mg_isolate_out", Place::Egress),
];

const fn isolating(name: &'static str, program: &'static str, place: Place) -> Hook {
    Hook {
        name,
        program,
        object: Object::Isolate,
        place,
        required: true,
        without: "no cgroup can be isolated",
    }
}
