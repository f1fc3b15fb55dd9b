#![doc = include_str!("../README.md")]

mod convolution;
mod convolutional;
mod kernel;
mod layers;
mod network;
mod plan;
mod u2net;
mod weights;

pub use convolution::{Map, Stop};
pub use convolutional::Convolutional;
pub use network::{Network, NetworkError, Values};
pub use u2net::U2Net;
