//! Who a client's certificate says that it is.

use std::str::FromStr;

use ring::digest;
use rustls::pki_types::{CertificateDer, ServerName};

/// How a connection is secured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Whether it is TLS.
    pub tls: bool,
    /// The client's certificate, which our client CA has signed; `None` if it has shown none.
    pub certificate: Option<CertificateDer<'static>>,
}

/// Which certificate a user must show: one that is issued to a DNS name, or one certificate by its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// A subject alternative name of type DNS. The common name is not looked at (RFC 6125, 6.4.4).
    Dns(ServerName<'static>),
    /// SHA-256 of the certificate.
    Fingerprint([u8; 32]),
}

/// Not a name of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a DNS name like alice.example.com nor sha256: and 64 hexadecimal digits")]
pub struct NotACertificateName(String);

impl CertificateName {
    /// Whether the certificate is the one, or one of those, that is meant. Its signature and time have been checked by
    /// the handshake.
    #[must_use]
    pub fn is_of(&self, certificate: &CertificateDer<'_>) -> bool {
        match self {
            Self::Dns(name) => webpki::EndEntityCert::try_from(certificate)
                .is_ok_and(|it| it.verify_is_valid_for_subject_name(name).is_ok()),
            Self::Fingerprint(expected) => {
                digest::digest(&digest::SHA256, certificate).as_ref() == expected.as_slice()
            }
        }
    }
}

impl FromStr for CertificateName {
    type Err = NotACertificateName;

    fn from_str(text: &str) -> Result<Self, NotACertificateName> {
        let wrong = || NotACertificateName(text.to_owned());
        if let Some(digits) = text.strip_prefix("sha256:") {
            // As `openssl x509 -fingerprint -sha256` prints it, or without its colons.
            let digits: Vec<u8> = digits.bytes().filter(|&byte| byte != b':').collect();
            let digit = |byte: u8| (byte as char).to_digit(16).map(|it| it as u8);
            let bytes: Option<Vec<u8>> = digits
                .chunks(2)
                .map(|pair| match *pair {
                    [high, low] => Some(digit(high)? << 4 | digit(low)?),
                    _ => None,
                })
                .collect();
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
            return bytes.map(Self::Fingerprint).ok_or_else(wrong);
        }
        match ServerName::try_from(text.to_owned()) {
            Ok(name @ ServerName::DnsName(_)) => Ok(Self::Dns(name)),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> CertificateDer<'static> {
        rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap().cert.der().clone()
    }

    #[test]
    fn certificates_are_told_by_name_or_fingerprint() {
        let (alice, bob) = (certificate("alice.example.com"), certificate("bob.example.com"));
        let name: CertificateName = "alice.example.com".parse().unwrap();
        assert!(name.is_of(&alice) && !name.is_of(&bob));
        let digits: Vec<String> = digest::digest(&digest::SHA256, &alice)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        for text in [digits.join(":"), digits.concat().to_lowercase()] {
            let print: CertificateName = format!("sha256:{text}").parse().unwrap();
            assert!(print.is_of(&alice) && !print.is_of(&bob));
        }
        assert!(!name.is_of(&CertificateDer::from(vec![1, 2, 3])), "no certificate at all");
    }

    #[test]
    fn other_texts_are_no_names() {
        for text in ["", "alice@example.com", "192.0.2.1", "sha256:", "sha256:00", "sha256:zz", "a b"] {
            assert_eq!(text.parse::<CertificateName>(), Err(NotACertificateName(text.to_owned())), "{text}");
        }
    }
}
