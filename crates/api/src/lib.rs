#![doc = include_str!("../README.md")]

mod app;
mod archive;
mod capabilities;
mod compose;
mod config;
mod edit;
mod error;
mod export;
mod extract;
mod form;
mod intake;
mod links;
mod live;
mod ops;
mod page;
mod results;
mod server;
mod split;
mod status;
mod submit;
mod uploads;

pub use app::openapi;
pub use config::{Config, VARIABLES};
pub use server::{Context, run};
