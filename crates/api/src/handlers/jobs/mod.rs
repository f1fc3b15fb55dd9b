//! Jobs: starting, asking, following, cancelling and deleting them.

pub(crate) mod cancel;
pub(crate) mod events;
pub(crate) mod options;
pub(crate) mod request;
pub(crate) mod schemas;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod websocket;
