//! Signatures of sessions and links.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use service::hex;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The key that sessions and links are signed with.
#[derive(Clone)]
pub(crate) struct SigningKey([u8; 32]);

/// What is signed. Signatures for one purpose are worth nothing for another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    Session,
    Share,
    Owner,
}

/// A secret of a setting, which is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl SigningKey {
    /// The key of `SIGNING_SECRET`, or a random one that lives as long as this process.
    pub(crate) fn new(secret: Option<&Secret>) -> Self {
        match secret {
            Some(Secret(text)) => Self(hmac(b"unflatten signing key", &[text.as_bytes()])),
            None => Self(rand::random()),
        }
    }

    /// The HMAC-SHA256 of `parts`, in hexadecimal digits.
    pub(crate) fn sign(&self, purpose: Purpose, parts: &[&str]) -> String {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        hex(&self.mac(purpose, &parts))
    }

    /// Whether `signature` is that of `parts`. Takes as long for every wrong one.
    pub(crate) fn verify(&self, purpose: Purpose, parts: &[&str], signature: &str) -> bool {
        bool::from(self.sign(purpose, parts).as_bytes().ct_eq(signature.as_bytes()))
    }

    pub(crate) fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 32] {
        let purpose: &[u8] = match purpose {
            Purpose::Session => b"session",
            Purpose::Share => b"share",
            Purpose::Owner => b"owner",
        };
        hmac(&self.0, &[&[purpose], parts].concat())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(...)")
    }
}

/// HMAC-SHA256 over parts with their lengths, so that moving bytes between parts changes it.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::new(Some(&Secret::new("a secret of the operator".to_owned())))
    }

    #[test]
    fn a_signature_holds_for_its_parts_and_purpose_alone() {
        let signature = key().sign(Purpose::Share, &["ab", "c"]);
        assert!(key().verify(Purpose::Share, &["ab", "c"], &signature));
        assert!(!key().verify(Purpose::Share, &["a", "bc"], &signature));
        assert!(!key().verify(Purpose::Session, &["ab", "c"], &signature));
        assert!(!key().verify(Purpose::Share, &["ab", "c"], &signature[1..]));
        assert!(!SigningKey::new(None).verify(Purpose::Share, &["ab", "c"], &signature));
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?} {:?}", key(), Secret::new("hush".to_owned())).contains("hush"));
    }
}
