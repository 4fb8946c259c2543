//! Certificates and TLS clients of tests.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::transport::TlsIdentity;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

pub type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// An authority, and what it has signed.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    /// A new one; its certificate is in `NAME.pem`.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
        Self { issuer, folder: folder.to_owned() }
    }

    /// Signs a certificate for a DNS name; it and its key are in `FILE.pem` and `FILE.key`.
    pub fn sign(&self, file: &str, dns_name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![dns_name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.folder.join(format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// Connects with TLS to `localhost`; the handshake is made with the first bytes.
    pub fn connect(
        &self,
        address: SocketAddr,
        version: &'static SupportedProtocolVersion,
        certificate: Option<&str>,
    ) -> TlsClient {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.roots());
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let path = |ending: &str| self.folder.join(format!("{file}.{ending}"));
                let chain = CertificateDer::pem_file_iter(path("pem")).unwrap().map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_file(path("key")).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_nodelay(true).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket)
    }
}

/// `server.pem`, `server.key` and, if clients shall show certificates, their authority.
pub fn identity(folder: &Path, client_ca: Option<&str>, required: bool) -> TlsIdentity {
    TlsIdentity {
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
        client_ca: client_ca.map(|name| folder.join(format!("{name}.pem"))),
        require_client_certificate: required,
    }
}

/// Makes the handshake; the error if it fails.
pub fn shake(client: &mut TlsClient) -> std::io::Result<()> {
    while client.conn.is_handshaking() {
        client.conn.complete_io(&mut client.sock)?;
    }
    client.flush()
}
