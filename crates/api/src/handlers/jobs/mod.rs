//! Jobs: starting, asking, following, cancelling and deleting them.

pub mod cancel;
pub mod events;
pub mod options;
pub mod request;
pub mod schemas;
pub mod status;
pub mod submit;
pub mod websocket;
