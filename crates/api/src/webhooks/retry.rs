//! When a webhook is posted again.

use std::time::Duration;

use jobs::DeliveryOutcome;

use super::post::PostOutcome;
use crate::config::WebhookConfig;

const LONGEST_WAIT: Duration = Duration::from_secs(6 * 3600);

/// The label of an outcome in the metrics, and what becomes of the delivery.
pub(super) fn next_step(
    config: &WebhookConfig,
    attempt: u32,
    outcome: &PostOutcome,
) -> (&'static str, DeliveryOutcome) {
    match outcome {
        PostOutcome::Accepted => ("delivered", DeliveryOutcome::Done),
        PostOutcome::Rejected(_) => ("refused", DeliveryOutcome::Done),
        PostOutcome::Failed { .. } if attempt >= config.attempts => ("given_up", DeliveryOutcome::Done),
        PostOutcome::Failed { retry_after, .. } => {
            let wait = retry_after.unwrap_or_default().max(backoff(config.retry, attempt));
            ("retried", DeliveryOutcome::RetryIn(wait.min(LONGEST_WAIT)))
        }
    }
}

/// The wait after an attempt, spread by a fifth so that deliveries that failed together are not retried together.
fn backoff(first: Duration, attempt: u32) -> Duration {
    let factor = 4_u32.saturating_pow(attempt.saturating_sub(1).min(15));
    first.saturating_mul(factor).min(LONGEST_WAIT).mul_f64(rand::random_range(1.0..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit() {
        let first = Duration::from_secs(5);
        for (attempt, least, most) in [(1, 5, 6), (2, 20, 24), (3, 80, 96), (40, 21600, 25920)] {
            let wait = backoff(first, attempt);
            assert!((Duration::from_secs(least)..=Duration::from_secs(most)).contains(&wait), "{attempt}: {wait:?}");
        }
    }
}
