//! What a finished job made: its files one by one, and the whole of it in one download.

pub mod download;
pub mod files;
