use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

const PREFIX: &str = "whsec_";

/// The keys that webhooks are signed with: one, or two while the old one is replaced, the new one first.
#[derive(Clone)]
pub struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl FromStr for Secrets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = |secret: &str| {
            let bytes = secret.strip_prefix(PREFIX).and_then(|encoded| BASE64.decode(encoded).ok());
            bytes.filter(|bytes| (24..=64).contains(&bytes.len())).ok_or_else(|| {
                format!(
                    "must be {PREFIX} and then 24 to 64 random bytes in base64, such as `echo {PREFIX}$(openssl rand -base64 \
                     32)` prints; separate several with commas"
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
    fn weak_secrets_are_refused() {
        for text in ["", "secret", "whsec_", "whsec_c2hvcnQ=", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(text.parse::<Secrets>().is_err(), "{text} was accepted");
        }
    }
}
