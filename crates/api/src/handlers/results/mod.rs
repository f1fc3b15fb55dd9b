//! Results of finished jobs: file by file, and whole in one download.

pub(crate) mod download;
pub(crate) mod files;
mod reading_order;
pub(crate) mod text;
