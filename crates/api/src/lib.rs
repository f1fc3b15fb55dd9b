#![doc = include_str!("../README.md")]

mod auth;
mod config;
mod decodes;
mod description;
mod export;
mod handlers;
mod health;
mod http;
mod intake;
mod lifting;
mod memory;
mod prometheus;
mod removal;
mod router;
mod server;
mod state;
mod turns;
mod webhooks;

pub use auth::scopes::{Scope, Scopes};
pub use auth::tokens::{Token, TokenLimits};
pub use config::Config;
pub use config::access::{AccessConfig, VisibleTo};
pub use config::variables::VARIABLES;
pub use router::openapi;
pub use server::accept::listen;
pub use server::limits::raise_descriptor_limit;
pub use server::{Context, SHUTDOWN_GRACE, run};
