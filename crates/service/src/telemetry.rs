//! The log of a process, configured the same way in every binary.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::{SettingError, Settings, Variable};

const APP_ENV: Variable =
    Variable { name: "APP_ENV", default: "development", about: "Log format: development (text) or production (JSON)" };
const RUST_LOG: Variable =
    Variable { name: "RUST_LOG", default: "info", about: "Log filter, such as debug or warn,api=debug" };

/// Every environment variable that this crate reads.
pub const VARIABLES: &[Variable] = &[APP_ENV, RUST_LOG];

/// Starts the log on stderr, configured by `APP_ENV` and `RUST_LOG`. A second start in one process (tests) has no effect.
///
/// # Errors
/// When one of them is malformed.
pub fn init(settings: &Settings) -> Result<(), SettingError> {
    let filter: EnvFilter = settings.require(&RUST_LOG)?;
    let app_env: String = settings.require(&APP_ENV)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let _ = match app_env.as_str() {
        "development" => builder.with_ansi(stderr().is_terminal()).try_init(),
        "production" => builder.json().flatten_event(true).try_init(),
        _ => {
            return Err(APP_ENV.refuse(app_env, "must be development or production"));
        }
    };
    Ok(())
}
