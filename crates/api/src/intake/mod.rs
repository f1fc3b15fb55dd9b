//! From the body of a request to a picture that is checked, decoded and stored.

pub mod form;
pub mod picture;
