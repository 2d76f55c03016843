//! The record of a packet.

use miner_guard_common::{
    abi::{
        packet::{ENCRYPTED_HELLO, Packet as Record, Subject},
        record::{Kind, Loss},
    },
    table::Address,
};

use super::flow::Flow;
use crate::{emit, packet::Packet, sockets, task, verdict::Decision};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Sends it, if its process has not sent too many already.
#[inline(always)]
pub fn send(packet: Packet, decision: Option<Decision>, subject: u8) {
    send_with(packet, decision, subject, 0, || Flow::read(packet));
}

/// The same with these flags; `flow` says from where to where the packet goes.
#[inline(always)]
pub fn send_with(
    packet: Packet,
    decision: Option<Decision>,
    subject: u8,
    flags: u8,
    flow: impl FnOnce() -> Option<Flow>,
) {
    let Some(d) = decision else { return };
    let Some(sk) = packet.socket() else { return };
    let Some(state) = sockets::state(packet, sk) else { return };
    let state = state.get();
    let Some(flow) = flow() else { return };
    // Packets whose process is not known are counted together with those of the same cgroup.
    let flood = if state.pid != 0 { state.pid } else { state.cgroup as u32 | 1 << 31 };
    let Some(suppressed) = emit::admit_as(flood, Kind::Packet) else { return };
    emit::send::<Record>(emit::Wake::Soon, Loss::RingPacket, |r| {
        emit::decided(&mut r.head, Kind::Packet, &d, suppressed);
        let h = &mut r.head;
        (h.pid, h.tid, h.uid, h.gid, h.cgroup) = (state.pid, state.tid, state.uid, state.gid, state.cgroup);
        h.comm = state.comm;
        r.cookie = packet.cookie();
        r.source = packet.source();
        let to = Address::from_halves(flow.high, flow.low);
        (r.family, r.destination) = match to.is_v4() {
            Some(v4) => (AF_INET, [v4.to_be(), 0, 0, 0]),
            None => (AF_INET6, to.words()),
        };
        (r.source_port, r.destination_port, r.protocol) = (flow.source_port, flow.port, flow.protocol);
        r.subject = subject;
        (r.dialect, r.role) = match state.stratum.finding() {
            Some(f) if subject == Subject::Protocol as u8 => (f.dialect as u8, f.role as u8),
            _ => (0, 0),
        };
        r.flags = flags | if state.hello.is_encrypted() { ENCRYPTED_HELLO } else { 0 };
        (r.pad, r.pad2) = (0, 0);
        r.name_len = 0;
        if subject == Subject::DnsQuestion as u8 || subject == Subject::ServerName as u8 {
            if let Some(reading) = sockets::reading(packet, sk) {
                r.name_len = reading.get().name.len();
                task::copy(reading.get().name.room(), &mut r.name);
                return;
            }
        }
        r.name = [0; _];
    });
}
