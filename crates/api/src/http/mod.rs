//! HTTP helpers of the handlers: extractors, bodies, errors, files and caching. Nothing here knows a route.

pub(crate) mod answers;
pub(crate) mod blocks;
pub(crate) mod body;
pub(crate) mod caching;
pub(crate) mod client;
pub(crate) mod disposition;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod files;
#[cfg(test)]
mod fuzz;
pub(crate) mod hosts;
pub(crate) mod links;
pub(crate) mod multipart;
pub(crate) mod origin;
pub(crate) mod parse_errors;
pub(crate) mod prefix;
pub(crate) mod ranges;
pub(crate) mod responses;
