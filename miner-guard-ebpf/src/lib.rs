//! Kernel programs: what runs at each hook, and the tables behind typed functions.
//!
//! | room | what happens there |
//! |---|---|
//! | [`hooks`] | one file per place in the kernel; `objects/` names the programs of each loadable object |
//! | [`policy`] | questions to the current generation |
//! | [`learned`] | is this address denied to this cgroup, or suspect? |
//! | [`files`] | what is known of an executable file |
//! | [`verdict`] | the only place where an answer becomes a return code or a signal |
//! | [`watch`] | what the runtime hooks keep and send |
//! | [`emit`] | records to user space: aggregation, wake-ups, losses |
//! | [`sockets`] | what is remembered of sockets |
//! | [`task`] | the unsafe door to kernel structures |
//! | [`packet`] | the unsafe door to packets |
#![no_std]
#![feature(asm_experimental_arch)]

pub mod emit;
pub mod files;
pub mod hooks;
pub mod learned;
pub mod packet;
pub mod policy;
pub mod sockets;
pub mod task;
pub mod verdict;
pub mod watch;

/// What every object needs once: its licence (GPL-compatible, for the helpers) and a panic handler, which the
/// verifier would refuse if any path led to it.
#[macro_export]
macro_rules! object {
    () => {
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo) -> ! {
            loop {}
        }

        #[unsafe(link_section = "license")]
        #[unsafe(no_mangle)]
        static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
    };
}
