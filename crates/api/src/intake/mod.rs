//! From the body of a request to a picture that is checked, decoded and stored.

pub(crate) mod json_form;
pub(crate) mod own_picture;
pub(crate) mod picture;
pub(crate) mod upload_form;
