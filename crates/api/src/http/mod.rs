//! HTTP helpers of the handlers: extractors, bodies, errors, files and caching. Nothing here knows a route.

pub mod answers;
pub mod blocks;
pub mod body;
pub mod caching;
pub mod client;
pub mod disposition;
pub mod error;
pub mod extract;
pub mod files;
pub mod hosts;
pub mod links;
pub mod multipart;
pub mod origin;
pub mod parse_errors;
pub mod ranges;
pub mod responses;
