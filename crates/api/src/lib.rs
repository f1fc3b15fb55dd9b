#![doc = include_str!("../README.md")]

mod app;
mod archive;
mod caller;
mod capabilities;
mod compose;
mod config;
mod edit;
mod error;
mod export;
mod extract;
mod files;
mod form;
mod intake;
mod links;
mod live;
mod openai;
mod ops;
mod options;
mod page;
mod plain;
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
