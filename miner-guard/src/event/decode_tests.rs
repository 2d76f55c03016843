use super::*;
use crate::event::samples;
use proptest::prelude::*;
use zerocopy::IntoBytes;

#[test]
fn a_connect_record_says_who_and_where_to() {
    let Record::Connect(c) = decode(samples::connect("192.0.2.5:3333").as_bytes()).unwrap() else {
        panic!("not a connect")
    };
    assert_eq!(c.destination, "192.0.2.5:3333".parse().unwrap());
    assert_eq!((c.head.pid, c.head.tid, c.head.uid, c.head.rule), (4242, 4243, 1000, 7));
    assert_eq!((c.head.verdict, c.head.enforced, c.op), (Verdict::Deny, true, Op::Connect));
    assert_eq!(c.head.comm(), b"xmrig");
}

#[test]
fn an_ipv6_destination_keeps_all_its_bytes() {
    let Record::Connect(c) = decode(samples::connect("[2001:db8::7]:443").as_bytes()).unwrap() else {
        panic!("not a connect")
    };
    assert_eq!(c.destination, "[2001:db8::7]:443".parse().unwrap());
}

#[test]
fn an_exec_record_gives_file_name_and_arguments_with_empty_ones_kept() {
    let raw = samples::exec(b"/tmp/x", &[b"./x", b"", b"--url"]);
    let Record::Exec(e) = decode(raw.as_bytes()).unwrap() else { panic!("not an exec") };
    assert_eq!(e.filename, b"/tmp/x");
    assert_eq!(e.args, [b"./x".to_vec(), b"".to_vec(), b"--url".to_vec()]);
}

#[test]
fn arguments_cut_in_the_middle_keep_their_last_part() {
    assert_eq!(split_args(b"a\0bc"), [b"a".to_vec(), b"bc".to_vec()]);
    assert_eq!(split_args(b""), Vec::<Vec<u8>>::new());
    assert_eq!(split_args(b"\0"), [b"".to_vec()]);
}

#[test]
fn a_record_truncated_at_any_byte_is_refused() {
    let (c, e) = (samples::connect("192.0.2.5:1"), samples::exec(b"/x", &[b"x"]));
    for whole in [c.as_bytes(), e.as_bytes()] {
        assert!(decode(whole).is_ok());
        for n in 0..whole.len() {
            assert!(decode(&whole[..n]).is_err(), "{n} of {} bytes were taken", whole.len());
        }
    }
}

#[test]
fn a_record_with_bytes_after_its_end_is_refused() {
    let mut bytes = samples::connect("192.0.2.5:1").as_bytes().to_vec();
    bytes.push(0);
    assert_eq!(decode(&bytes), Err(DecodeError::Length { kind: "connect", got: 105, want: 104 }));
}

#[test]
fn a_kind_that_nobody_knows_is_an_error_that_names_it() {
    let mut c = samples::connect("192.0.2.5:1");
    c.head.kind = 200;
    assert_eq!(decode(c.as_bytes()), Err(DecodeError::Kind(200)));
}

#[test]
fn a_byte_without_meaning_is_an_error_that_names_its_field() {
    type Spoil = fn(&mut Connect);
    let cases: [(&str, Spoil); 6] = [
        ("verdict", |c| c.head.verdict = 250),
        ("enforced", |c| c.head.enforced = 250),
        ("reason", |c| c.head.reason = 250),
        ("mode", |c| c.head.mode = 250),
        ("op", |c| c.op = 250),
        ("family", |c| c.family = 250),
    ];
    for (field, spoil) in cases {
        let mut c = samples::connect("192.0.2.5:1");
        spoil(&mut c);
        assert_eq!(decode(c.as_bytes()), Err(DecodeError::Field { field, value: 250 }));
    }
}

#[test]
fn a_length_beyond_its_buffer_is_refused() {
    let mut e = samples::exec(b"/x", &[b"x"]);
    e.args_len = 513;
    assert_eq!(decode(e.as_bytes()), Err(DecodeError::Field { field: "args_len", value: 513 }));
    let mut e = samples::exec(b"/x", &[b"x"]);
    e.filename_len = u32::MAX;
    assert_eq!(
        decode(e.as_bytes()),
        Err(DecodeError::Field { field: "filename_len", value: u32::MAX.into() })
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_spoilt_record_is_refused_or_stays_within_its_buffers(
        spoilt in prop::collection::vec((0usize..896, any::<u8>()), 0..40),
    ) {
        let mut bytes = samples::exec(b"/usr/bin/x", &[b"x", b"-o"]).as_bytes().to_vec();
        for (at, with) in spoilt {
            bytes[at] = with;
        }
        bytes[0] = Kind::Exec as u8;
        if let Ok(Record::Exec(e)) = decode(&bytes) {
            prop_assert!(e.filename.len() <= exec::FILENAME);
            prop_assert!(e.args.iter().map(|a| a.len() + 1).sum::<usize>() <= exec::ARGS + 1);
        }
    }
}
