use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Message;

/// How well an engine could complete the background behind what it lifted, as far as it can tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackgroundReport {
    pub quality: BackgroundQuality,
    /// What was measured.
    pub reason: Message,
}

/// How good a completed background is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackgroundQuality {
    /// Nobody sees where something was.
    Clean,
    /// One sees it when one looks for it.
    Fair,
    /// One sees it: much is hidden, or the picture does not show what it could have been.
    Rough,
}
