//! Options that a process in a cgroup sets on sockets of its own: what comes of each.

use std::{io, os::fd::AsRawFd as _, process::Stdio};

use anyhow::{Result, ensure};

use crate::{cgroup::Cgroup, sys};

/// The hidden first argument.
const ARGUMENT: &str = "--options";

/// linux/if_packet.h
pub const PACKET_QDISC_BYPASS: libc::c_int = 20;

/// How the line about [`PACKET_QDISC_BYPASS`] begins.
pub const PAST_THE_QUEUE: &str = "packet socket, past the queue";

/// Sets options of every shape. A line each: which, what the call gave, and what the option is then.
pub fn set(cgroup: &Cgroup) -> Result<Vec<String>> {
    let output = cgroup.command("/proc/self/exe")?.arg(ARGUMENT).stdout(Stdio::piped()).output()?;
    ensure!(output.status.success(), "setting options: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// Does that work, if this process was started for it.
pub fn serve() -> bool {
    if std::env::args().nth(1).as_deref() != Some(ARGUMENT) {
        return false;
    }
    if let Err(error) = all() {
        println!("{error}");
    }
    true
}

fn all() -> io::Result<()> {
    use libc::{
        IP_TOS, IPPROTO_IP, IPPROTO_TCP, SO_ATTACH_FILTER, SO_RCVBUF, SOL_PACKET, SOL_SOCKET, TCP_CONGESTION,
        TCP_NODELAY,
    };
    let socket = sys::socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    let set = |name: &str, level, option, value: *const u8, len: usize| {
        let len = len as libc::socklen_t;
        // SAFETY: the kernel checks what it is pointed to, and only reads it.
        let rc = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.cast(), len) };
        let done = sys::check(rc);
        println!("{name}: {done:?}, {:?}", sys::option(&socket, level, option));
    };
    let one = 1i32.to_ne_bytes();
    set("an integer", IPPROTO_TCP, TCP_NODELAY, one.as_ptr(), 4);
    set("nothing", IPPROTO_TCP, TCP_NODELAY, one.as_ptr(), 0);
    set("a byte", IPPROTO_IP, IP_TOS, [16u8].as_ptr(), 1);
    set("a word", IPPROTO_TCP, TCP_CONGESTION, b"reno".as_ptr(), 4);
    let mut long = vec![0; 3 * 4096];
    long[..4].copy_from_slice(&100_000i32.to_ne_bytes());
    set("three pages", SOL_SOCKET, SO_RCVBUF, long.as_ptr(), long.len());
    set("a bad address", SOL_SOCKET, SO_RCVBUF, std::ptr::without_provenance(1), 4);
    set("an unknown option", SOL_SOCKET, 9999, one.as_ptr(), 4);
    // What points to something further: one instruction, "take all".
    let code = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: u32::MAX }];
    let filter = libc::sock_fprog { len: 1, filter: code.as_ptr().cast_mut() };
    set("a pointer", SOL_SOCKET, SO_ATTACH_FILTER, (&raw const filter).cast(), size_of_val(&filter));

    let name = PAST_THE_QUEUE;
    match sys::socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0) {
        Ok(packet) => {
            let done = sys::set_option(&packet, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
            println!("{name}: {done:?}, {:?}", sys::option(&packet, SOL_PACKET, PACKET_QDISC_BYPASS));
        }
        Err(error) => println!("{name}: none here, {error}"),
    }
    Ok(())
}
