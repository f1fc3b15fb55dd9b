//! The handlers of all routes, each next to its OpenAPI description.

pub mod edits;
pub mod finished;
pub mod jobs;
pub mod openai;
pub mod page;
pub mod results;
pub mod service;
pub mod uploads;
