#![doc = include_str!("../README.md")]

mod auth;
mod error;
mod gemini;
mod http;
mod storage;
mod vertex;

pub use auth::Auth;
pub use error::{Error, Kind, Service};
pub use gemini::{Access, Gemini, MAX_REQUEST_BYTES, Part};
pub use http::{Repeat, Retry};
pub use storage::{ObjectInfo, ObjectUri, Storage};
pub use vertex::{Endpoint, Method, Predictor};
