//! What a client shows at its Logon: a password, of which only an Argon2id hash is kept, or a signature.

use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use ring::hmac;
use subtle::{Choice, ConstantTimeEq as _};

use crate::fix::{Message, SOH, tags};

/// Most memory that a hash may ask for: one attempt must not be a burden to the exchange.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Longest user name and password.
const MAX_CREDENTIAL: usize = 64;

/// Why a secret in a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Not a hash.
    #[error(
        "is not an Argon2id hash ($argon2id$v=19$...): put the output of `rialto password` here, never a plain password"
    )]
    NotAHash,
    /// Too dear.
    #[error("asks for more than 256 MiB of memory")]
    TooDear,
    /// A key that is too short to be one, or no hexadecimal number.
    #[error("must be 32 to 128 bytes in hexadecimal")]
    NotAKey,
    /// A password that cannot stand in a FIX field.
    #[error("a password has 1 to 64 bytes, without the FIX delimiter (0x01)")]
    NotAPassword,
}

/// An Argon2id hash in PHC format: `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(phc::PasswordHash);

impl PasswordHash {
    /// Reads a hash.
    ///
    /// # Errors
    /// [`SecretError`]
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let hash = phc::PasswordHash::new(text).map_err(|_| SecretError::NotAHash)?;
        let complete = hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some();
        let params = Params::try_from(&hash).map_err(|_| SecretError::NotAHash)?;
        if !complete {
            return Err(SecretError::NotAHash);
        }
        if params.m_cost() > MAX_MEMORY_KIB {
            return Err(SecretError::TooDear);
        }
        Ok(Self(hash))
    }

    /// Whether this may be a password: 1 to 64 bytes that can stand in a FIX field.
    #[must_use]
    pub fn is_possible(password: &[u8]) -> bool {
        (1..=MAX_CREDENTIAL).contains(&password.len()) && !password.contains(&SOH)
    }

    /// Hashes a password with a new salt. `memory_kib` and `passes` set the price of an attempt; OWASP's least is
    /// 19,456 KiB and 2.
    ///
    /// # Errors
    /// [`SecretError`]
    pub fn create(password: &[u8], memory_kib: u32, passes: u32) -> Result<Self, SecretError> {
        if !Self::is_possible(password) {
            return Err(SecretError::NotAPassword);
        }
        let params = Params::new(memory_kib, passes, 1, None).map_err(|_| SecretError::NotAHash)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password(password).map(Self).map_err(|_| SecretError::NotAHash)
    }

    /// Whether the password is the right one. Takes as long as the hash demands: tens of milliseconds.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        password.len() <= MAX_CREDENTIAL && Argon2::default().verify_password(password, &self.0).is_ok()
    }
}

impl std::fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A key that client and exchange share, for Logons that are signed instead of carrying a password.
#[derive(Clone)]
pub struct HmacKey(hmac::Key);

impl HmacKey {
    /// Reads a key from hexadecimal digits.
    ///
    /// # Errors
    /// [`SecretError::NotAKey`]
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let bytes = from_hex(text.trim().as_bytes()).ok_or(SecretError::NotAKey)?;
        if !(32..=128).contains(&bytes.len()) {
            return Err(SecretError::NotAKey);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The signature of a text: what RawData (96) of a signed Logon holds, in hexadecimal.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> String {
        hmac::sign(&self.0, text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the signature, in hexadecimal, is that of the text. Takes the same time for all wrong ones.
    #[must_use]
    pub fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        from_hex(signature).is_some_and(|signature| hmac::verify(&self.0, text, &signature).is_ok())
    }
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let pairs = text.chunks(2).map(|pair| match *pair {
        [high, low] => Some((digit(high)? * 16 + digit(low)?) as u8),
        _ => None,
    });
    pairs.collect()
}

/// What a signed Logon signs: SendingTime, MsgType, MsgSeqNum, SenderCompID, TargetCompID and Username, each as in the
/// message, with the FIX delimiter between them.
pub(crate) fn signed_text(message: &Message<'_>) -> Vec<u8> {
    let fields = [
        tags::SENDING_TIME,
        tags::MSG_TYPE,
        tags::MSG_SEQ_NUM,
        tags::SENDER_COMP_ID,
        tags::TARGET_COMP_ID,
        tags::USERNAME,
    ];
    fields.map(|tag| message.get(tag).unwrap_or_default()).join(&SOH)
}

/// Compares two short texts in a time that tells nothing about where they differ.
pub(crate) fn same(given: &[u8], expected: &[u8]) -> bool {
    let pad = |text: &[u8]| {
        let mut padded = [0; MAX_CREDENTIAL];
        let length = text.len().min(MAX_CREDENTIAL);
        padded[..length].copy_from_slice(&text[..length]);
        padded
    };
    let length_ok: Choice = (given.len() as u64).ct_eq(&(expected.len() as u64));
    bool::from(pad(given).ct_eq(&pad(expected)) & length_ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_know_their_password_and_nothing_else() {
        let hash = PasswordHash::create(b"secret", 8, 1).unwrap();
        assert!(hash.verify(b"secret") && !hash.verify(b"Secret") && !hash.verify(b""));
        assert!(!hash.verify(&[b'x'; 65]));
        let text = hash.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{text}");
        assert_eq!(PasswordHash::parse(&text).unwrap(), hash);
        assert_ne!(PasswordHash::create(b"secret", 8, 1).unwrap(), hash, "the salt is new");
        assert_eq!(format!("{hash:?}"), "(hidden)");
    }

    #[test]
    fn plain_passwords_and_dear_hashes_are_refused() {
        let hash = PasswordHash::create(b"secret", 8, 1).unwrap().to_string();
        let dear = hash.replace("m=8,", "m=1000000,");
        let other = hash.replace("argon2id", "argon2i");
        for (text, error) in [
            ("alice-secret", SecretError::NotAHash),
            ("", SecretError::NotAHash),
            (other.as_str(), SecretError::NotAHash),
            (dear.as_str(), SecretError::TooDear),
            ("$argon2id$v=19$m=8,t=1,p=1", SecretError::NotAHash),
        ] {
            assert_eq!(PasswordHash::parse(text).err(), Some(error), "{text}");
        }
        assert_eq!(PasswordHash::create(b"", 8, 1).err(), Some(SecretError::NotAPassword));
        assert_eq!(PasswordHash::create(b"a\x01b", 8, 1).err(), Some(SecretError::NotAPassword));
    }

    /// RFC 4231, test case 2, with the key padded to our shortest length (HMAC pads it with zeros itself).
    #[test]
    fn signatures_are_hmac_sha256() {
        let key = HmacKey::parse(&format!("4a656665{}", "00".repeat(28))).unwrap();
        let signature = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(key.sign(b"what do ya want for nothing?"), signature);
        assert!(key.verify(b"what do ya want for nothing?", signature.as_bytes()));
        assert!(!key.verify(b"what do ya want for nothing!", signature.as_bytes()));
        assert!(!key.verify(b"what do ya want for nothing?", &signature.as_bytes()[2..]));
        assert!(!key.verify(b"what do ya want for nothing?", b"zz"));
        for bad in ["", "4a65", "xx", &"0".repeat(63)] {
            assert_eq!(HmacKey::parse(bad).err(), Some(SecretError::NotAKey), "{bad}");
        }
    }

    #[test]
    fn texts_are_the_same_or_not() {
        assert!(same(b"", b"") && same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"abc\0", b"abc"));
        let long = [b'x'; 70];
        assert!(!same(&long, &long[..69]));
    }
}
