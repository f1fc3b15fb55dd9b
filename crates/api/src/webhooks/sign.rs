use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const PREFIX: &str = "whsec_";

/// The keys that webhooks are signed with: one, or while it is changed for
/// another both, the new one first.
#[derive(Clone)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// The `webhook-signature` of a message: HMAC-SHA256 over `id.timestamp.body`
    /// under each key (Standard Webhooks, "Signature scheme").
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &str) -> String {
        let signed = |key: &Vec<u8>| {
            // HMAC takes keys of any length.
            let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
            mac.update(format!("{id}.{timestamp_s}.{body}").as_bytes());
            Some(format!("v1,{}", BASE64.encode(mac.finalize().into_bytes())))
        };
        self.0.iter().filter_map(signed).collect::<Vec<_>>().join(" ")
    }
}

impl FromStr for Secrets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = |secret: &str| {
            let bytes = secret.strip_prefix(PREFIX).and_then(|encoded| BASE64.decode(encoded).ok());
            bytes.filter(|bytes| (24..=64).contains(&bytes.len())).ok_or_else(|| {
                format!(
                    "it is {PREFIX} and then 24 to 64 random bytes in base64, such as what \
                     `echo {PREFIX}$(openssl rand -base64 32)` prints; several are separated by commas"
                )
            })
        };
        text.split(',').map(str::trim).map(key).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_standard_does() {
        // The example in the specification of Standard Webhooks.
        let secrets: Secrets = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_signs() {
        let both = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let secrets: Secrets = both.parse().unwrap();
        let parts: Vec<_> = secrets.sign("a", 1, "b").split(' ').map(str::to_owned).collect();
        assert!(parts.len() == 2 && parts[0] != parts[1] && parts.iter().all(|part| part.starts_with("v1,")));
        assert!(!format!("{secrets:?}").contains("MfK"));
    }

    #[test]
    fn weak_secrets_are_refused() {
        for text in ["", "secret", "whsec_", "whsec_c2hvcnQ=", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(text.parse::<Secrets>().is_err(), "{text} was taken");
        }
    }
}
