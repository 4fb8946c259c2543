//! Byte streams to clients: plain TCP, or TLS over it.
//!
//! A handshake costs as much as hundreds of orders, so it is made on a thread of its own ([`Handshaker`]); a connection
//! comes back from there when it is secure. What the gateway's thread does afterwards is symmetric and cheap.

mod certificate;
mod handshake;
mod tls;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;

pub use certificate::{CertificateName, NotACertificateName, Security};
pub(crate) use handshake::{Handshaker, Outcome};
pub use tls::{TlsError, TlsIdentity, TlsReload, TlsSettings};

/// Most that one write hands to TLS: the size of its records.
const CHUNK_BYTES: usize = 16 * 1024;
/// Times that one read looks for more bytes before it lets others have their turn: a client may send a great deal that
/// holds no data.
const READ_ROUNDS: usize = 16;

/// A connection's bytes.
pub(crate) enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS, after its handshake.
    Tls(Box<TlsStream>),
    /// The handshake is being made elsewhere.
    Handshaking,
}

/// TLS over TCP.
pub(crate) struct TlsStream {
    pub(crate) socket: TcpStream,
    pub(crate) session: ServerConnection,
}

impl Stream {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self.socket() {
            Some(socket) => registry.register(socket, token, Interest::READABLE | Interest::WRITABLE),
            None => Ok(()),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.socket().map_or(Ok(()), |socket| registry.deregister(socket))
    }

    fn socket(&mut self) -> Option<&mut TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(stream) => Some(&mut stream.socket),
            Self::Handshaking => None,
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Self::Handshaking)
    }

    /// Reads what has come; `WouldBlock` when that is nothing.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Handshaking => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes some; `WouldBlock` when there is no room.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Handshaking => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Whether bytes that were written are still here.
    pub(crate) fn has_pending(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.session.wants_write())
    }

    /// Sends bytes that were written before.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }

    /// Says that nothing more comes; the socket closes with the stream.
    pub(crate) fn finish(&mut self) {
        if let Self::Tls(stream) = self {
            stream.session.send_close_notify();
            // The client may have gone, or reads nothing: then it learns it from TCP.
            let _ = stream.flush();
        }
        if let Some(socket) = self.socket() {
            let _ = socket.shutdown(Shutdown::Write);
        }
    }
}

impl TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READ_ROUNDS {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end without TLS's own farewell: what came before it is whole messages or none.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            if self.session.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            let outcome = self.session.process_new_packets();
            if self.session.wants_write() {
                // An alert, or the answer to a key update; what does not fit goes with the next write.
                let _ = self.flush();
            }
            outcome.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
        Err(ErrorKind::Interrupted.into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let taken = self.session.writer().write(&bytes[..bytes.len().min(CHUNK_BYTES)])?;
        match self.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}
