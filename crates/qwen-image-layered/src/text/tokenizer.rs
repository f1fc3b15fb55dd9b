//! The Qwen2 tokenizer: byte-level BPE.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::weights::read_json;
use crate::{Error, Result};

/// How text is split before byte pairs are merged (Qwen2's `tokenizer.json`).
const SPLIT: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// Text to token ids and back.
pub struct TextTokenizer {
    inner: Tokenizer,
    path: PathBuf,
}

#[derive(Deserialize)]
struct TokenizerConfig {
    #[serde(default)]
    added_tokens_decoder: BTreeMap<u32, Added>,
}

#[derive(Deserialize)]
struct Added {
    content: String,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    normalized: bool,
    special: bool,
}

impl TextTokenizer {
    /// Reads the first of `folders` that has `tokenizer.json`, or `vocab.json` with `merges.txt`.
    ///
    /// # Errors
    /// When none has, or the files are broken.
    pub fn load(folders: &[PathBuf]) -> Result<Self> {
        for folder in folders {
            let file = folder.join("tokenizer.json");
            if file.is_file() {
                return Self::from_json(&file);
            }
            if folder.join("vocab.json").is_file() {
                return Self::from_vocabulary(folder);
            }
        }
        let path = folders.first().cloned().unwrap_or_default();
        Err(broken(&path, "has neither `tokenizer.json` nor `vocab.json` with `merges.txt`; download the model again"))
    }

    fn from_json(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        let inner =
            Tokenizer::from_bytes(bytes).map_err(|error| broken(path, format!("{error}; download the file again")))?;
        Self::new(inner, path)
    }

    fn from_vocabulary(folder: &Path) -> Result<Self> {
        let vocab_path = folder.join("vocab.json");
        let vocab: std::collections::HashMap<String, u32> = read_json(&vocab_path)?;
        let merges_path = folder.join("merges.txt");
        let merges = read_merges(&merges_path)?;
        let model = BPE::builder()
            .vocab_and_merges(vocab.into_iter().collect::<Vocab>(), merges)
            .build()
            .map_err(|error| broken(&merges_path, format!("does not belong to `vocab.json`: {error}")))?;
        let mut inner = Tokenizer::new(model);
        let split = Split::new(SplitPattern::Regex(SPLIT.to_owned()), SplitDelimiterBehavior::Isolated, false)
            .map_err(|error| broken(&vocab_path, error))?;
        let bytes = ByteLevel::new(false, true, false);
        inner.with_normalizer(Some(NFC)).map_err(|error| broken(&vocab_path, error))?;
        inner.with_pre_tokenizer(Some(Sequence::new(vec![split.into(), bytes.into()])));
        inner.with_decoder(Some(bytes));
        add_tokens(&mut inner, folder)?;
        Self::new(inner, &vocab_path)
    }

    fn new(mut inner: Tokenizer, path: &Path) -> Result<Self> {
        // The reference neither cuts nor pads here, whatever the file was saved with.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| broken(path, error))?;
        Ok(Self { inner, path: path.to_owned() })
    }

    /// The ids of `text`; special tokens written out in it count as such.
    ///
    /// # Errors
    /// When the vocabulary cannot express the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode(text, true).map_err(|error| broken(&self.path, error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids` without special tokens.
    ///
    /// # Errors
    /// When the decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|error| broken(&self.path, error))
    }

    /// Writes the tokenizer as one `tokenizer.json`.
    #[cfg(test)]
    pub fn save(&self, path: &Path) {
        self.inner.save(path, false).expect("a temporary folder takes a file");
    }

    /// The id of a token that is written `token`.
    ///
    /// # Errors
    /// When the vocabulary has no such token.
    pub fn id(&self, token: &str) -> Result<u32> {
        let missing = || broken(&self.path, format!("has no token `{token}`; this is not Qwen2.5-VL's tokenizer"));
        self.inner.token_to_id(token).ok_or_else(missing)
    }
}

fn read_merges(path: &Path) -> Result<Merges> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    lines
        .map(|line| match line.split_once(' ') {
            Some((left, right)) if !right.contains(' ') => Ok((left.to_owned(), right.to_owned())),
            _ => Err(broken(path, format!("`{line}` is not a pair; download the file again"))),
        })
        .collect()
}

/// Adds the tokens beyond the vocabulary at the ids that the files give them.
fn add_tokens(tokenizer: &mut Tokenizer, folder: &Path) -> Result<()> {
    let config_path = folder.join("tokenizer_config.json");
    let mut added = match config_path.is_file() {
        true => read_json::<TokenizerConfig>(&config_path)?.added_tokens_decoder,
        false => BTreeMap::new(),
    };
    let more_path = folder.join("added_tokens.json");
    if added.is_empty() && more_path.is_file() {
        let more: BTreeMap<String, u32> = read_json(&more_path)?;
        added.extend(more.into_iter().map(|(content, id)| (id, Added::special(content))));
    }
    if added.is_empty() {
        return Err(broken(folder, "has no `added_tokens_decoder` in `tokenizer_config.json`; download that file too"));
    }
    for (id, token) in added {
        let content = token.content.clone();
        if token.special {
            tokenizer.add_special_tokens([token.into_token()])
        } else {
            tokenizer.add_tokens([token.into_token()])
        }
        .map_err(|error| broken(&config_path, error))?;
        let found = tokenizer.token_to_id(&content);
        if found != Some(id) {
            let reason = format!("puts `{content}` at id {id}, the vocabulary puts it at {found:?}; the files differ");
            return Err(broken(&config_path, reason));
        }
    }
    Ok(())
}

impl Added {
    fn special(content: String) -> Self {
        // `<|...|>` marks control tokens; the others (`<tool_call>`) are ordinary text.
        let special = content.starts_with("<|");
        Self { content, lstrip: false, rstrip: false, single_word: false, normalized: false, special }
    }

    fn into_token(self) -> AddedToken {
        AddedToken::from(self.content, self.special)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .single_word(self.single_word)
            .normalized(self.normalized)
    }
}

fn broken(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Checkpoint { path: path.to_owned(), reason: reason.to_string() }
}
