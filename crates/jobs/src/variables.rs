use service::Variable;

use crate::broker::config;
use crate::{cleanup, defaults, store, typefaces};

/// Every environment variable that this crate reads.
pub const VARIABLES: &[Variable] = &[
    config::REDIS_URL,
    config::REDIS_HOST,
    config::REDIS_PORT,
    config::REDIS_DB,
    config::REDIS_PASSWORD,
    config::REDIS_CA_FILE,
    config::EMBEDDED_QUEUE_FILE,
    config::QUEUE_LIMIT,
    config::QUEUE_LIMIT_PER_CLIENT,
    config::JOB_LEASE_S,
    config::JOB_MAX_ATTEMPTS,
    config::VERTEX_FALLBACK_AFTER_S,
    store::STORAGE_URL,
    store::UPLOAD_DIR,
    store::RESULTS_DIR,
    cleanup::CLEANUP_AFTER_HOURS,
    defaults::DEFAULT_NUM_LAYERS,
    defaults::DEFAULT_RESOLUTION,
    defaults::INFERENCE_STEPS,
    defaults::MAX_PIXELS,
    typefaces::FONTS_DIR,
];
