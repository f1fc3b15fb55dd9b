//! Results of finished jobs: file by file, and whole in one download.

pub mod download;
pub mod files;
