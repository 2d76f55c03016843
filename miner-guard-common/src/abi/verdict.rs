//! What the guard decides, and why.

/// Declares a fieldless `u8` enum whose unknown values are an error, never undefined behaviour.
macro_rules! byte_enum {
    ($(#[$m:meta])* $name:ident { $($(#[$vm:meta])* $v:ident = $n:literal => $s:literal,)+ }) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vm])* $v = $n,)+ }
        impl $name {
            /// All values, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$v,)+];
            /// The value of a byte from the other side; `None` if this side does not know it.
            #[inline(always)]
            pub const fn from_byte(b: u8) -> Option<Self> {
                match b { $($n => Some(Self::$v),)+ _ => None }
            }
            /// The name that operators read.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $s,)+ }
            }
        }
    };
}
pub(crate) use byte_enum;

byte_enum! {
    /// The outcome of a policy question, weakest first. In audit mode it says what enforce would have done.
    Verdict {
        /// Nothing listed, or exempt, or protected.
        Allow = 0 => "allow",
        /// Reported, never stopped.
        Alert = 1 => "alert",
        /// The call fails with EPERM.
        Deny = 2 => "deny",
        /// The thread group gets SIGKILL.
        Kill = 3 => "kill",
        /// The cgroup may reach protected destinations only.
        Isolate = 4 => "isolate",
    }
}

byte_enum! {
    /// What the guard does with a verdict.
    Mode {
        /// Reports what enforce would have done, changes nothing.
        Audit = 0 => "audit",
        /// Does it.
        Enforce = 1 => "enforce",
    }
}

byte_enum! {
    /// Which question decided the verdict.
    Reason {
        /// No rule matched.
        None = 0 => "none",
        /// The task is on the allowlist.
        Exempt = 1 => "exempt",
        /// The destination is protected or allowed.
        Protected = 2 => "protected",
        /// A listed address together with a listed port.
        AddressPort = 3 => "address-port",
        /// A listed address.
        Address = 4 => "address",
        /// A listed prefix.
        Prefix = 5 => "prefix",
        /// A learned address.
        Learned = 6 => "learned",
        /// A listed port.
        Port = 7 => "port",
        /// A listed name was asked for, or named in a TLS ClientHello.
        Domain = 8 => "domain",
        /// Stratum or another pool protocol was spoken.
        Protocol = 9 => "protocol",
        /// The file was identified as a miner by its content.
        MinerBinary = 10 => "miner-binary",
        /// The file's content hash is listed.
        FileHash = 11 => "file-hash",
        /// The file's path is listed.
        FilePath = 12 => "file-path",
        /// The file holds proof-of-work code without a miner's client.
        HashingHeavy = 13 => "hashing-heavy",
        /// The guard's own proof that enforcement works.
        Canary = 14 => "canary",
        /// TLS without a readable server name, to a suspect address or a port that pools use.
        NoServerName = 15 => "no-server-name",
        /// This machine hands out work: it runs a pool or a proxy of one.
        PoolServer = 16 => "pool-server",
        /// The cgroup is isolated.
        Isolated = 20 => "isolated",
    }
}

impl Verdict {
    /// Whether enforce mode stops something for this verdict.
    #[inline(always)]
    pub const fn stops(self) -> bool {
        matches!(self, Self::Deny | Self::Kill | Self::Isolate)
    }

    /// Whether it stops a program that is started: an isolated one runs, and reaches nothing.
    #[inline(always)]
    pub const fn stops_program(self) -> bool {
        matches!(self, Self::Deny | Self::Kill)
    }
}
