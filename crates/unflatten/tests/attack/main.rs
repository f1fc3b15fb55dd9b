//! The service under attack: many clients that stall, requests that are too deep or too long, pictures that inflate,
//! and faults of the disk, the clock and the descriptors. Each test prints what was tried and what held.
//!
//! Quick ones run with all tests. `cargo xtask bench attack` runs all of them against a release build.
//! Everything stays on the loopback device, and every loop has an end.

mod clock;
mod connections;
mod downloads;
mod edits;
mod exports;
mod fairness;
mod followers;
mod memory;
mod requests;
mod sockets;
mod storage;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod victim;
