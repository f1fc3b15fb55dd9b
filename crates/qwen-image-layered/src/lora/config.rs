//! What a LoRA file says about itself beside its tensors.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

/// PEFT's `adapter_config.json`, which diffusers also writes into the header of a file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AdapterConfig {
    peft_type: Option<String>,
    lora_alpha: Option<f64>,
    use_rslora: bool,
    use_dora: bool,
    fan_in_fan_out: bool,
    alpha_pattern: BTreeMap<String, f64>,
    pub base_model_name_or_path: Option<String>,
}

/// Under which diffusers keeps the config in a file's header.
const IN_HEADER: &str = "lora_adapter_metadata";

impl AdapterConfig {
    /// The config in the header `metadata`, if there is one.
    ///
    /// # Errors
    /// When it is not readable.
    pub fn in_header(metadata: &HashMap<String, String>) -> Result<Option<Self>, String> {
        let Some(text) = metadata.get(IN_HEADER) else { return Ok(None) };
        let broken =
            |error| format!("the header's `{IN_HEADER}` cannot be read ({error}); take another copy of the file");
        let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(broken)?;
        let own = fields.into_iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("transformer.").unwrap_or(&name).to_owned();
            (!value.is_null()).then_some((name, value))
        });
        serde_json::from_value(serde_json::Value::Object(own.collect())).map(Some).map_err(broken)
    }

    /// Checks that this is a plain LoRA.
    ///
    /// # Errors
    /// What it is instead.
    pub fn check(&self) -> Result<(), String> {
        let other = match &self.peft_type {
            Some(kind) if !kind.eq_ignore_ascii_case("lora") => Some(kind.as_str()),
            _ if self.use_dora => Some("DoRA"),
            _ if self.fan_in_fan_out => Some("LoRA with transposed weights (`fan_in_fan_out`)"),
            _ => None,
        };
        match other {
            Some(kind) => Err(format!("the config says {kind}, which is not supported; take a plain LoRA")),
            None => self.alpha_pattern.keys().try_for_each(|pattern| plain(pattern).map(|_| ())),
        }
    }

    /// The factor of the product of `layer`, whose rank is `rank`; `alpha` is the layer's own, from the file.
    pub fn scale(&self, layer: &str, rank: usize, alpha: Option<f64>) -> f64 {
        let pattern =
            || self.alpha_pattern.iter().find(|(pattern, _)| matches(pattern, layer)).map(|(_, alpha)| *alpha);
        let Some(alpha) = alpha.or_else(pattern).or(self.lora_alpha) else { return 1.0 };
        let rank = rank as f64;
        alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

/// The layer's name or its end that `pattern` stands for, and whether it has to be the whole name.
fn plain(pattern: &str) -> Result<(String, bool), String> {
    let name = pattern.trim_end_matches('$').replace("\\.", ".");
    let (name, whole) = name.strip_prefix('^').map_or((name.as_str(), false), |name| (name, true));
    if name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Ok((name.to_owned(), whole));
    }
    Err(format!("`alpha_pattern` holds the expression `{pattern}`; names of layers alone can be read"))
}

fn matches(pattern: &str, layer: &str) -> bool {
    plain(pattern).is_ok_and(|(name, whole)| {
        layer == name || !whole && layer.strip_suffix(&name).is_some_and(|before| before.ends_with('.'))
    })
}

/// What the header's `metadata` says that the file was trained for.
pub fn trained_for(metadata: &HashMap<String, String>) -> Option<String> {
    const FIELDS: [&str; 4] = ["modelspec.architecture", "ss_base_model_version", "base_model", "ss_sd_model_name"];
    let found = FIELDS.iter().find_map(|field| metadata.get(*field).filter(|value| !value.trim().is_empty()));
    found.map(|value| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales() {
        let config = |text: &str| serde_json::from_str::<AdapterConfig>(text).unwrap();
        let layer = "transformer_blocks.0.attn.to_q";
        for (text, own, expected) in [
            ("{}", None, 1.0),
            (r#"{"lora_alpha": 32, "r": 16}"#, None, 2.0),
            (r#"{"lora_alpha": 32, "use_rslora": true}"#, None, 8.0),
            (r#"{"lora_alpha": 32}"#, Some(8.0), 0.5),
            (r#"{"lora_alpha": 32, "alpha_pattern": {"to_q": 48}}"#, None, 3.0),
            (r#"{"lora_alpha": 32, "alpha_pattern": {"o_q": 48}}"#, None, 2.0),
            (r#"{"lora_alpha": 32, "alpha_pattern": {"^attn.to_q": 48}}"#, None, 2.0),
            (r#"{"lora_alpha": 32, "alpha_pattern": {"^transformer_blocks\\.0\\.attn\\.to_q": 48}}"#, None, 3.0),
        ] {
            assert_eq!(config(text).scale(layer, 16, own), expected, "{text}");
        }
        for (text, word) in [
            (r#"{"peft_type": "LOKR"}"#, "LOKR"),
            (r#"{"use_dora": true}"#, "DoRA"),
            (r#"{"alpha_pattern": {"to_(q|k)": 1}}"#, "to_(q|k)"),
        ] {
            assert!(config(text).check().unwrap_err().contains(word), "{text}");
        }
    }

    #[test]
    fn diffusers_keeps_the_config_in_the_header() {
        let text = r#"{"transformer.lora_alpha": 8, "transformer.use_rslora": true, "transformer.bias": "none"}"#;
        let metadata = HashMap::from([(IN_HEADER.to_owned(), text.to_owned())]);
        let config = AdapterConfig::in_header(&metadata).unwrap().unwrap();
        assert_eq!(config.scale("proj_out", 4, None), 4.0);
        assert_eq!(AdapterConfig::in_header(&HashMap::new()), Ok(None));
        let metadata = HashMap::from([(IN_HEADER.to_owned(), "[".to_owned())]);
        assert!(AdapterConfig::in_header(&metadata).is_err());
    }
}
