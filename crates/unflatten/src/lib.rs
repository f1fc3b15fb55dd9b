//! Shared by the binaries of this package: the engines and the analyzer of a program.

use std::sync::Arc;

use engine::Registry;
use service::{SettingError, Settings};
use worker::{AnalyzerChoice, Config, Equipment};

/// Creates the engines and the analyzer of this build. An engine with a crate of its own is registered here.
///
/// # Errors
/// The first setting that is not valid.
pub fn equip(settings: &Settings, config: &Config) -> Result<Equipment, SettingError> {
    let mut engines = worker::engines::built_in(config);
    register_cloud(&mut engines, settings)?;
    let gemini = match config.analyzer.choice {
        AnalyzerChoice::Gemini => gemini(settings, config)?,
        AnalyzerChoice::Off | AnalyzerChoice::Local => None,
    };
    Equipment::new(config, Arc::new(engines), gemini)
}

#[cfg(feature = "cloud")]
fn register_cloud(engines: &mut Registry, settings: &Settings) -> Result<(), SettingError> {
    engines.register(vertex::VertexFactory::new(vertex::CloudConfig::from_settings(settings)?));
    Ok(())
}

#[cfg(feature = "cloud")]
fn gemini(settings: &Settings, config: &Config) -> Result<Option<Box<dyn worker::describe::Analyzer>>, SettingError> {
    Ok(Some(Box::new(vertex::GeminiAnalyzer::new(settings, config.analyzer.timeout)?)))
}

#[cfg(not(feature = "cloud"))]
fn register_cloud(engines: &mut Registry, _: &Settings) -> Result<(), SettingError> {
    engines.register(engine::OmittedEngine {
        name: engine::EngineName::Vertex,
        why: "this build does not support Google Cloud",
        fix: "build it with --features cloud, or use --engine auto",
    });
    Ok(())
}

#[cfg(not(feature = "cloud"))]
fn gemini(_: &Settings, _: &Config) -> Result<Option<Box<dyn worker::describe::Analyzer>>, SettingError> {
    Ok(None)
}
