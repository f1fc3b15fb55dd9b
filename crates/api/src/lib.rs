#![doc = include_str!("../README.md")]

mod app;
mod archive;
mod body;
mod caller;
mod capabilities;
mod compose;
mod config;
mod decodes;
mod disposition;
mod edit;
mod error;
mod export;
mod extract;
mod files;
mod form;
mod intake;
mod links;
mod live;
mod multipart;
mod openai;
mod ops;
mod options;
mod origin;
mod page;
mod plain;
mod responses;
mod results;
mod server;
mod split;
mod status;
mod submit;
mod uploads;
mod webhooks;

pub use app::openapi;
pub use config::{Config, VARIABLES};
pub use server::{Context, run};
