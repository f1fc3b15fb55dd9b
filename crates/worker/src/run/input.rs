use std::sync::Arc;

use engine::Params;
use image::RgbaImage;
use jobs::JobId;
use layers::Kind;

/// The input of a run.
#[derive(Debug, Clone)]
pub struct RunJob {
    /// The job; `None` on the command line.
    pub job_id: Option<JobId>,
    /// The picture: sRGB, 8 bit, straight alpha.
    pub input: Arc<RgbaImage>,
    /// Parameters of the job.
    pub params: Params,
    /// What the picture shows, where it is a layer of another result.
    pub of: Option<Kind>,
    /// Whether the engine describes its layers, if it can, even where `ANALYZER` does not ask for it.
    pub describe: bool,
}
