//! A name server and its client in one process: what a question costs, without a switch to another task.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use anyhow::{Context as _, Result, ensure};

use super::{stats::Random, worker::Mode};

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);

/// Both ends.
pub struct Resolver {
    server: UdpSocket,
    client: UdpSocket,
    random: Random,
}

impl Resolver {
    /// Needs a network namespace in which nobody else has port 53.
    pub fn new() -> Result<Self> {
        let server = UdpSocket::bind(SERVER).context("cannot be a name server")?;
        Ok(Self { server, client: client()?, random: Random::new(std::process::id().into()) })
    }

    /// One exchange. Gives whether the question was refused.
    pub fn exchange(&mut self, mode: Mode) -> Result<bool> {
        let question = question(self.random.bits(), self.random.bits());
        let anew = if mode == Mode::ResolveAnew { Some(client()?) } else { None };
        let client = anew.as_ref().unwrap_or(&self.client);
        if client.send(&question).is_err() {
            return Ok(true);
        }
        let mut room = [0; 512];
        let (n, from) = self.server.recv_from(&mut room)?;
        if mode == Mode::Ask {
            return Ok(false);
        }
        answer(&mut room, n, from, &self.server)?;
        let n = client.recv(&mut room)?;
        ensure!(n > question.len(), "an answer of {n} bytes");
        Ok(false)
    }
}

fn client() -> Result<UdpSocket> {
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    client.connect(SERVER)?;
    Ok(client)
}

/// For the address of `www.xxxxxxxx.yyy.test`: four labels, another name each time.
fn question(a: u32, b: u32) -> [u8; 39] {
    let mut out = *b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x08xxxxxxxx\x03yyy\x04test\0\0\x01\0\x01";
    for (i, byte) in out[17..25].iter_mut().enumerate() {
        *byte = b'a' + (a >> (4 * i) & 15) as u8;
    }
    for (i, byte) in out[26..29].iter_mut().enumerate() {
        *byte = b'a' + (b >> (4 * i) & 15) as u8;
    }
    out
}

/// One address for it.
fn answer(room: &mut [u8; 512], n: usize, from: SocketAddr, server: &UdpSocket) -> Result<()> {
    room[2..4].copy_from_slice(&[0x81, 0x80]);
    room[7] = 1;
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 127, 0, 0, 1];
    room.get_mut(n..n + record.len()).context("a long question")?.copy_from_slice(&record);
    server.send_to(&room[..n + record.len()], from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::question;

    #[test]
    fn a_question_is_well_formed_and_each_is_for_another_name() {
        let one = question(0x1234_5678, 9);
        assert_eq!(one[12..].iter().position(|b| *b == 0), Some(22), "the name's end");
        assert!(
            one[17..25].iter().all(u8::is_ascii_lowercase) && one[16] == 8 && one[25] == 3 && one[29] == 4
        );
        assert_ne!(one, question(0x1234_5679, 9));
    }
}
