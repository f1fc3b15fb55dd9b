//! Answers that several routes share, for the OpenAPI description.

use utoipa::IntoResponses;

use super::error::ErrorBody;

/// Of routes that read a JSON body.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only describes answers")]
pub(crate) enum JsonFaults {
    /// The body stopped arriving or arrives too slowly
    #[response(status = 408)]
    Timeout(ErrorBody),
    /// The body is too long
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not JSON
    #[response(status = 415)]
    NotJson(ErrorBody),
}

/// Of routes that write files.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only describes answers")]
pub(crate) enum StorageFaults {
    /// The storage or the queue cannot be used at the moment, or too much is asked of the service at once
    #[response(status = 503, headers(("Retry-After" = u32, description = "Seconds")))]
    Unavailable(ErrorBody),
    /// The disk of the service is full
    #[response(status = 507, headers(("Retry-After" = u32, description = "Seconds")))]
    Full(ErrorBody),
}

/// Of routes that need a job's result.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only describes answers")]
pub(crate) enum ResultFaults {
    /// No such job
    #[response(status = 404)]
    NoJob(ErrorBody),
    /// The job has no result: it is not finished, failed or was cancelled
    #[response(status = 409)]
    NoResult(ErrorBody),
}

/// Of routes that need a layer of a job's result.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only describes answers")]
pub(crate) enum LayerFaults {
    /// No such job or layer
    #[response(status = 404)]
    NoLayer(ErrorBody),
    /// The job has no result: it is not finished, failed or was cancelled
    #[response(status = 409)]
    NoResult(ErrorBody),
}

/// Of routes that send a stored file, beside the 200.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only describes answers")]
pub(crate) enum FileAnswers {
    /// The part that Range asks for
    #[response(status = 206)]
    Part,
    /// As in If-None-Match
    #[response(status = 304)]
    NotModified,
    /// Where the storage itself gives it (`DOWNLOAD_REDIRECT`)
    #[response(status = 307)]
    Redirect,
    /// Range asks for none of its bytes
    #[response(status = 416)]
    Unsatisfiable(ErrorBody),
}
