//! Answers that several routes share, for the API's description.

use utoipa::IntoResponses;

use crate::error::ErrorBody;

/// Where a JSON body is read.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "describes answers, which are made as errors")]
pub enum JsonFaults {
    /// The body stopped arriving or arrives too slowly
    #[response(status = 408)]
    Timeout(ErrorBody),
    /// The body is too long
    #[response(status = 413)]
    TooLarge(ErrorBody),
}

/// Where files are written.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "describes answers, which are made as errors")]
pub enum StorageFaults {
    /// The storage or the queue cannot be used at the moment, or too much is asked of the service at once
    #[response(status = 503, headers(("Retry-After" = u32, description = "Seconds")))]
    Unavailable(ErrorBody),
    /// The disk of the service is full
    #[response(status = 507, headers(("Retry-After" = u32, description = "Seconds")))]
    Full(ErrorBody),
}
