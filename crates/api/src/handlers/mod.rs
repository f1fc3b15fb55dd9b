//! The handlers of all routes, each next to its OpenAPI description.

pub(crate) mod access;
pub(crate) mod edits;
pub(crate) mod finished;
pub(crate) mod jobs;
pub(crate) mod openai;
pub(crate) mod page;
pub(crate) mod results;
pub(crate) mod service;
pub(crate) mod uploads;
