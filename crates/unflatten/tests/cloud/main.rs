//! Google Cloud end to end: workers on one side; on the other `unflatten-worker --vertex` in its own process, and local
//! servers that implement the documented formats.

mod analysis;
mod bench;
mod google;
mod replicas;
mod storage;
mod vertex;
