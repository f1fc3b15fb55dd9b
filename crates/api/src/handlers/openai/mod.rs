//! The same jobs under another API's name, for programs that speak OpenAI's API already.

pub(crate) mod errors;
pub(crate) mod fields;
pub(crate) mod images;
pub(crate) mod models;
mod stream;
