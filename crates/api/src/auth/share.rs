//! Signed links: whoever has one may read one job, or one uploaded picture, for some time.

use time::OffsetDateTime;
use uuid::Uuid;

use super::signing::{Purpose, SigningKey};

/// The query parameter that holds the signature.
pub(crate) const PARAMETER: &str = "share";

/// The value of the parameter in links to `id` that can be used until `ends_at`, in seconds since 1970.
pub(crate) fn sign(key: &SigningKey, id: Uuid, ends_at: i64) -> String {
    let ends_at = ends_at.to_string();
    let signature = key.sign(Purpose::Share, &[&id.to_string(), &ends_at]);
    format!("{ends_at}.{signature}")
}

/// The job or upload in a path, if `value` is the signature of a link to it.
pub(super) fn verify(key: &SigningKey, path: &str, value: &str) -> Option<Uuid> {
    let (ends_at, signature) = value.split_once('.')?;
    let is_alive = ends_at.parse::<i64>().is_ok_and(|ends_at| ends_at > OffsetDateTime::now_utc().unix_timestamp());
    let id = id_in(path)?;
    (is_alive && key.verify(Purpose::Share, &[&id.to_string(), ends_at], signature)).then_some(id)
}

/// The value of the parameter in a query string.
pub(super) fn parameter(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix(PARAMETER)?.strip_prefix('='))
}

/// The first id in a path.
fn id_in(path: &str) -> Option<Uuid> {
    path.split('/').find_map(|part| part.strip_suffix(".png").unwrap_or(part).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_its_job_until_its_time_is_over() {
        let key = SigningKey::new(None);
        let (id, now) = (Uuid::new_v4(), OffsetDateTime::now_utc().unix_timestamp());
        let path = format!("/api/jobs/{id}/layers/0.png");
        let value = sign(&key, id, now + 60);
        assert_eq!(verify(&key, &path, &value), Some(id));
        assert_eq!(verify(&key, &format!("/api/uploads/{id}.png"), &value), Some(id));
        assert_eq!(verify(&key, &format!("/api/jobs/{}/layers/0.png", Uuid::new_v4()), &value), None);
        assert_eq!(verify(&key, "/metrics", &value), None);
        assert_eq!(verify(&SigningKey::new(None), &path, &value), None);
        assert_eq!(verify(&key, &path, &sign(&key, id, now)), None);
        let later = value.replacen(&(now + 60).to_string(), &(now + 6000).to_string(), 1);
        assert_eq!(verify(&key, &path, &later), None);
        assert_eq!(parameter(&format!("text=live&share={value}")), Some(value.as_str()));
    }
}
