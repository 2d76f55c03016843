//! A peer on loopback: it accepts and closes, at once or in the end, and takes datagrams. Nothing is ever served.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsRawFd as _,
    sync::mpsc::{self, Receiver},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result};

use crate::PATIENCE;

/// TCP and UDP on one port; both end with this value.
pub struct Listener {
    address: SocketAddr,
    tcp: TcpListener,
    udp: UdpSocket,
    connections: Receiver<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens on a port of the kernel's choice.
    pub fn on(ip: IpAddr) -> Result<Self> {
        Self::at(SocketAddr::new(ip, 0))
    }

    /// Listens on this address and port.
    pub fn at(address: SocketAddr) -> Result<Self> {
        Self::start(address, false)
    }

    /// The same, but connections stay open until this value goes.
    pub fn that_keeps(address: SocketAddr) -> Result<Self> {
        Self::start(address, true)
    }

    fn start(address: SocketAddr, keep: bool) -> Result<Self> {
        let tcp = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let address = tcp.local_addr()?;
        let udp = UdpSocket::bind(address).with_context(|| format!("cannot bind UDP {address}"))?;
        udp.set_read_timeout(Some(PATIENCE))?;
        let (send, connections) = mpsc::channel();
        let accepting = tcp.try_clone()?;
        let thread = std::thread::spawn(move || {
            let mut kept = Vec::new();
            // Ends with the error that Drop causes.
            while let Ok((stream, peer)) = accepting.accept() {
                if keep {
                    kept.push(stream);
                }
                if send.send(peer).is_err() {
                    break;
                }
            }
        });
        Ok(Self { address, tcp, udp, connections, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection and gives its peer.
    pub fn next_connection(&self) -> Result<SocketAddr> {
        self.connections
            .recv_timeout(PATIENCE)
            .with_context(|| format!("nobody connected to {}", self.address))
    }

    /// The connections that came since the last question.
    pub fn connections(&self) -> usize {
        self.connections.try_iter().count()
    }

    /// Waits for the next datagram and gives its bytes.
    pub fn next_datagram(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 2048];
        let (len, _) = self.udp.recv_from(&mut buffer)?;
        Ok(buffer[..len].to_vec())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // SAFETY: takes numbers; the descriptor is open as long as `self.tcp` is. Wakes the thread in accept().
        unsafe { libc::shutdown(self.tcp.as_raw_fd(), libc::SHUT_RD) };
        if let Some(thread) = self.thread.take() {
            // It cannot panic.
            let _ = thread.join();
        }
    }
}
