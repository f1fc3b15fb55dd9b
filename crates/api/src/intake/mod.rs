//! From the body of a request to a picture that is checked, decoded and stored.

pub(crate) mod form;
pub(crate) mod picture;
