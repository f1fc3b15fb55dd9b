//! What the tests of several crates need (cargo features `testing` and `testing-bucket`).

mod broker;
#[cfg(feature = "testing-bucket")]
mod bucket;
mod redis;

pub use broker::TestBroker;
#[cfg(feature = "testing-bucket")]
pub use bucket::{BucketServer, Traffic};
pub use redis::RedisServer;

/// Chooses who does the cryptography of this process's HTTP clients. The tests of the whole workspace are built with
/// one `reqwest`, which leaves that to the program as soon as one crate asks for it so; before a client is made.
pub fn choose_tls() {
    // Someone else's choice is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
