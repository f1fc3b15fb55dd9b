use std::sync::Arc;

use engine::Params;
use image::RgbaImage;
use jobs::JobId;

/// What an engine is to work on.
#[derive(Debug, Clone)]
pub struct RunJob {
    /// Absent on the command line.
    pub job_id: Option<JobId>,
    pub input: Arc<RgbaImage>,
    pub params: Params,
    /// Whether an engine that can is to describe its layers, even where the runner's analyzer does not ask for it.
    pub describe: bool,
}
