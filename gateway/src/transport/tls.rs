//! TLS 1.2 and 1.3: what the configuration says, read from its files and read again on demand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

const KEY: &str = "private key in PEM (BEGIN PRIVATE KEY)";
const CERTIFICATE: &str = "certificate in PEM (BEGIN CERTIFICATE)";

/// Whose certificate we show, and whose we want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// PEM file with our certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file with its private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// PEM file with the authorities that sign clients' certificates; `None` asks for none.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is turned away.
    pub require_client_certificate: bool,
}

/// A TLS port.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Where to listen.
    pub bind: std::net::SocketAddr,
    /// Certificates and keys, as they are now.
    pub reload: TlsReload,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what should be there.
        problem: String,
    },
    /// Client certificates without anybody to have signed them.
    #[error("require_client_certificate needs client_ca: the authority that signs the clients' certificates")]
    NoClientCa,
}

impl TlsIdentity {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = read(&self.key, |path| PrivateKeyDer::from_pem_file(path), KEY)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .expect("the provider has suites of both versions");
        let builder = match &self.client_ca {
            None if self.require_client_certificate => return Err(TlsError::NoClientCa),
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|error| content(path, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    if self.require_client_certificate { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| content(path, error))?)
            }
        };
        let config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Content {
                path: self.key.clone(),
                problem: format!("is not the key of the first certificate in {}", self.certificate.display()),
            },
            error => content(&self.certificate, error),
        })?;
        Ok(Arc::new(config))
    }
}

/// Certificates and keys that can be exchanged while connections use them: later handshakes see the new ones.
#[derive(Clone)]
pub struct TlsReload {
    identity: Arc<TlsIdentity>,
    current: Arc<Mutex<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for TlsReload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.identity.fmt(f)
    }
}

impl TlsReload {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn load(identity: TlsIdentity) -> Result<Self, TlsError> {
        let current = identity.load()?;
        Ok(Self { identity: Arc::new(identity), current: Arc::new(Mutex::new(current)) })
    }

    /// Reads the files again. After an error the old ones stay in force.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = self.identity.load()?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What the next handshake uses.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn content(path: &Path, problem: impl std::fmt::Display) -> TlsError {
    TlsError::Content { path: path.to_owned(), problem: problem.to_string() }
}

fn read<T>(path: &Path, how: impl FnOnce(&Path) -> Result<T, pem::Error>, what: &str) -> Result<T, TlsError> {
    how(path).map_err(|error| match error {
        pem::Error::Io(source) => TlsError::Io { path: path.to_owned(), source },
        // The parser's words could hold bytes of a key.
        _ => content(path, format_args!("holds no {what}")),
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all =
        read(path, |path| CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>(), CERTIFICATE)?;
    if all.is_empty() {
        return Err(content(path, format_args!("holds no {CERTIFICATE}")));
    }
    Ok(all)
}
