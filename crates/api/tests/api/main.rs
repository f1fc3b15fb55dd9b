//! The API over a real listener: an embedded queue (and once Redis), a
//! temporary store, and a worker that does what each test tells it to.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod app;
mod bodies;
mod connections;
mod decompose;
mod document;
mod downloads;
mod edits;
mod flow;
mod frontend;
mod jobs_routes;
mod limits;
mod live;
mod malformed;
mod openai;
mod openapi;
mod own_pictures;
mod pick;
mod pictures;
mod prefix;
mod ranges;
mod results;
mod retype;
#[cfg(feature = "testing-bucket")]
mod round_trips;
mod service;
mod sessions;
mod split;
mod text;
mod tokens;
mod uploads;
mod webhooks;
