//! Google Cloud end to end: workers on one side; on the other `unflatten-worker --vertex` in a process of its own, and
//! local servers that speak the documented formats.

mod analysis;
mod bench;
mod google;
mod replicas;
mod storage;
mod vertex;
