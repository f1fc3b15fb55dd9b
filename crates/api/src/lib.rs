#![doc = include_str!("../README.md")]

mod config;
mod decodes;
mod export;
mod handlers;
mod health;
mod http;
mod intake;
mod memory;
mod prometheus;
mod removal;
mod router;
mod server;
mod state;
mod turns;
mod webhooks;

pub use config::Config;
pub use config::variables::VARIABLES;
pub use router::openapi;
pub use server::accept::listen;
pub use server::limits::raise_descriptor_limit;
pub use server::{Context, SHUTDOWN_GRACE, run};
