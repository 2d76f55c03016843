//! An option is set on a socket. One is not given: that frames of a packet socket leave out the queue of the interface, and
//! with it the hook there ([`super::frame`]).

use aya_ebpf::programs::SockoptContext;

const GO_ON: i32 = 1;
/// `SOL_PACKET`
const PACKET: i32 = 263;
/// `PACKET_QDISC_BYPASS`; its value is an `int`.
const QDISC_BYPASS: i32 = 20;

/// `cgroup/setsockopt`. The call never fails for it: whoever sends a lot of frames asks for this, and sends them all the same.
#[inline(always)]
pub fn set(ctx: &SockoptContext) -> i32 {
    let option = ctx.sockopt;
    // SAFETY: members that the verifier lets programs of this kind read and write; the value is written where the comparison
    // shows that it lies.
    unsafe {
        let value = (*option).__bindgen_anon_2.optval.cast::<i32>();
        let end = (*option).__bindgen_anon_3.optval_end.cast::<i32>();
        if (*option).level == PACKET && (*option).optname == QDISC_BYPASS && value.add(1) <= end {
            value.write(0);
        } else {
            // The kernel takes what the program gave, as if no hook were here; otherwise it would take its copy of the first page.
            (*option).optlen = 0;
        }
    }
    GO_ON
}
