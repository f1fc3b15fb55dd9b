//! What the tests of several crates need (cargo features `testing` and `testing-bucket`).

#[cfg(feature = "testing-bucket")]
mod bucket;
mod redis;

#[cfg(feature = "testing-bucket")]
pub use bucket::BucketServer;
pub use redis::RedisServer;
