//! The same jobs under another API's name, for programs that speak OpenAI's API already.

pub mod errors;
pub mod fields;
pub mod images;
