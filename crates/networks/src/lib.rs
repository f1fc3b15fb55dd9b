#![doc = include_str!("../README.md")]

mod network;

pub use network::{Network, NetworkError};
