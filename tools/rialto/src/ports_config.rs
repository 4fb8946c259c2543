//! The parts of the configuration file that are about further ports: FIX over TLS, and binary order entry.

use std::net::SocketAddr;
use std::path::PathBuf;

use gateway::transport::TlsIdentity;
use serde::Deserialize;

/// Thread that the binary gateway runs on where the file does not say.
const BINARY_THREAD: &str = "binary";

/// `[tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileTls {
    bind: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    #[serde(default)]
    require_client_certificate: bool,
}

/// `[binary]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileBinary {
    bind: SocketAddr,
    tls_bind: Option<SocketAddr>,
    #[serde(default = "yes")]
    cancel_on_disconnect: bool,
    #[serde(default)]
    cancel_grace_ms: u64,
    thread: Option<String>,
}

fn yes() -> bool {
    true
}

/// The port for FIX over TLS, and the certificate of all TLS ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPort {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Certificates and keys.
    pub identity: TlsIdentity,
}

/// The ports for binary order entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinaryPort {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Where to listen for TLS.
    pub tls_bind: Option<SocketAddr>,
    /// Whether a session's orders are cancelled when its connection ends.
    pub cancel_on_disconnect: bool,
    /// How long it may be away before they are.
    pub cancel_grace_ns: u64,
    /// Name of its thread.
    pub thread: String,
}

impl FileTls {
    /// The port.
    pub fn port(self) -> TlsPort {
        let Self { bind, certificate, key, client_ca, require_client_certificate } = self;
        TlsPort { bind, identity: TlsIdentity { certificate, key, client_ca, require_client_certificate } }
    }
}

impl FileBinary {
    /// The ports; `has_tls` says whether there is a certificate for one of TLS. The field and the reason if not.
    pub fn port(self, has_tls: bool) -> Result<BinaryPort, (&'static str, String)> {
        if self.tls_bind.is_some() && !has_tls {
            return Err(("tls_bind", "needs the certificate and the key of [tls]".to_owned()));
        }
        Ok(BinaryPort {
            bind: self.bind,
            tls_bind: self.tls_bind,
            cancel_on_disconnect: self.cancel_on_disconnect,
            cancel_grace_ns: self.cancel_grace_ms.saturating_mul(1_000_000),
            thread: self.thread.unwrap_or_else(|| BINARY_THREAD.to_owned()),
        })
    }
}

impl BinaryPort {
    /// A plain port with everything else as it is by default.
    pub fn at(bind: SocketAddr) -> Self {
        let thread = BINARY_THREAD.to_owned();
        Self { bind, tls_bind: None, cancel_on_disconnect: true, cancel_grace_ns: 0, thread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default's example of both, which is indented so that nobody takes it for a line to be used as it is: it names
    /// files that are not there.
    #[test]
    fn the_example_of_the_default_is_valid() {
        let (_, rest) = crate::config::DEFAULT.split_once("\n[fix]\n").unwrap();
        let (part, _) = rest.split_once("\n[[assets]]\n").unwrap();
        let example: Vec<&str> = part.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
        #[derive(Deserialize)]
        struct Example {
            tls: FileTls,
            binary: FileBinary,
        }
        let example: Example = toml::from_str(&example.join("\n")).unwrap();
        assert!(example.tls.port().identity.client_ca.is_some());
        assert_eq!(example.binary.port(true).unwrap().thread, BINARY_THREAD);
    }

    fn binary(text: &str) -> FileBinary {
        toml::from_str(&format!("bind = '127.0.0.1:1'\n{text}")).unwrap()
    }

    #[test]
    fn a_binary_port_has_safe_defaults() {
        let bind = "127.0.0.1:1".parse().unwrap();
        assert_eq!(binary("").port(false), Ok(BinaryPort::at(bind)));
        let more =
            "tls_bind = '127.0.0.1:2'\ncancel_on_disconnect = false\ncancel_grace_ms = 5\nthread = 'x'";
        let expected = BinaryPort {
            bind,
            tls_bind: Some("127.0.0.1:2".parse().unwrap()),
            cancel_on_disconnect: false,
            cancel_grace_ns: 5_000_000,
            thread: "x".to_owned(),
        };
        assert_eq!(binary(more).port(true), Ok(expected));
        assert_eq!(binary(more).port(false).err().map(|it| it.0), Some("tls_bind"));
    }
}
