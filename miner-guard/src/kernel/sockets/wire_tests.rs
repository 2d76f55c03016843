use super::*;
use crate::kernel::netlink::HEADER;
use proptest::prelude::*;

const TCP: u8 = 6;

/// A message about one socket, as the kernel writes it.
fn message(family: u8, local: &str, remote: &str, cgroup: Option<u64>) -> Vec<u8> {
    let (local, remote): (SocketAddr, SocketAddr) = (local.parse().unwrap(), remote.parse().unwrap());
    let mut body = vec![family, ESTABLISHED, 0, 0];
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    for ip in [local.ip(), remote.ip()] {
        let mut bytes = [0; 16];
        match ip {
            IpAddr::V4(a) => bytes[..4].copy_from_slice(&a.octets()),
            IpAddr::V6(a) => bytes = a.octets(),
        }
        body.extend(bytes);
    }
    body.extend(3u32.to_ne_bytes());
    body.extend(0x1_0000_0002u64.to_ne_bytes());
    for n in [0u32, 0, 0, 1000, 4242] {
        body.extend(n.to_ne_bytes());
    }
    // One attribute of another kind, of an odd length.
    body.extend([5, 0, 8, 0, 1, 0, 0, 0]);
    if let Some(id) = cgroup {
        body.extend([12, 0, INET_DIAG_CGROUP_ID as u8, 0]);
        body.extend(id.to_ne_bytes());
    }
    framed(SOCK_DIAG_BY_FAMILY, &body)
}

fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
    netlink::message(kind, 2, 7, body)
}

fn all(batch: &[u8]) -> (Result<End, Malformed>, Vec<Socket>) {
    let mut found = Vec::new();
    let end = read(batch, TCP, 7, |s| found.push(s));
    (end, found)
}

#[test]
fn a_socket_is_read_with_its_cgroup() {
    let batch = [
        message(INET, "192.0.2.1:40000", "198.51.100.1:3333", Some(99)),
        message(INET6, "[::ffff:192.0.2.1]:40001", "[::ffff:198.51.100.1]:3333", None),
        framed(netlink::DONE, &[0; 4]),
    ]
    .concat();
    let (end, found) = all(&batch);
    assert_eq!(end, Ok(End::Done));
    let [first, second] = found[..] else { panic!("{found:?}") };
    let want = Socket {
        protocol: TCP,
        state: ESTABLISHED,
        local: "192.0.2.1:40000".parse().unwrap(),
        remote: "198.51.100.1:3333".parse().unwrap(),
        interface: 3,
        cookie: 0x1_0000_0002,
        uid: 1000,
        inode: 4242,
        cgroup: Some(99),
    };
    assert_eq!(first, want);
    assert_eq!(second, Socket { local: "192.0.2.1:40001".parse().unwrap(), cgroup: None, ..want });
}

#[test]
fn the_kernel_s_answer_is_its_errno() {
    assert_eq!(all(&framed(netlink::ERROR, &(-95i32).to_ne_bytes())).0, Ok(End::Answer(95)));
    assert_eq!(all(&framed(netlink::ERROR, &0i32.to_ne_bytes())).0, Ok(End::Answer(0)));
    assert!(all(&framed(netlink::ERROR, &5i32.to_ne_bytes())).0.is_err());
    assert!(all(&framed(netlink::ERROR, &i32::MIN.to_ne_bytes())).0.is_err());
}

#[test]
fn an_answer_to_another_question_is_passed_over() {
    let batch = message(INET, "192.0.2.1:1", "192.0.2.2:2", None);
    assert_eq!(read(&batch, TCP, 8, |_| panic!("not ours")), Ok(End::More));
}

#[test]
fn a_truncated_message_is_refused_at_every_length() {
    let batch = message(INET, "192.0.2.1:40000", "198.51.100.1:3333", Some(99));
    for n in 1..batch.len() {
        let (end, found) = all(&batch[..n]);
        assert!(end.is_err() && found.is_empty(), "{n}");
    }
}

#[test]
fn what_is_to_be_destroyed_is_written_as_the_kernel_reads_it() {
    let (local, remote) = ("192.0.2.1:40000".parse().unwrap(), "198.51.100.1:3333".parse().unwrap());
    let plain = destroy(TCP, local, remote, 3, Some(0x1_0000_0002), 7);
    // The same id as in a message about this socket.
    let shown = message(INET, "192.0.2.1:40000", "198.51.100.1:3333", None);
    assert_eq!(plain[HEADER + 8..], shown[HEADER + 4..HEADER + 4 + SOCKID]);
    assert_eq!((plain[HEADER], plain.len()), (INET, HEADER + 8 + SOCKID));
    let mapped = ("[::ffff:192.0.2.1]:40000".parse().unwrap(), "[::ffff:198.51.100.1]:3333".parse().unwrap());
    assert_eq!(destroy(TCP, mapped.0, mapped.1, 3, Some(0x1_0000_0002), 7), plain);
    assert!(destroy(TCP, local, remote, 0, None, 7).ends_with(&[0xff; 8]));
}

proptest! {
    #[test]
    fn hostile_bytes_end_in_an_error_and_never_in_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = all(&bytes);
    }

    #[test]
    fn a_damaged_message_is_read_or_refused(at in 0usize..120, byte: u8, cut in 0usize..200) {
        let mut batch = message(INET6, "[2001:db8::1]:40000", "[2001:db8::2]:3333", Some(99));
        let n = batch.len();
        batch[at % n] = byte;
        batch.truncate(n.min(cut));
        let _ = all(&batch);
    }
}
