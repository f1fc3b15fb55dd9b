use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A sentence for people, and a code with data by which a page can say it in another language.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Message {
    pub code: MessageCode,
    /// In English.
    pub text: String,
    /// What the sentence is about, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub data: Data,
}

/// What a sentence is about, by name.
pub type Data = BTreeMap<String, Value>;

impl Message {
    /// A sentence without data.
    pub fn new(code: MessageCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), data: Data::new() }
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A sentence that has no code.
impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(MessageCode::Other, text)
    }
}

/// Results that were stored by earlier versions have the text alone.
impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Text(String),
            Message {
                code: MessageCode,
                text: String,
                #[serde(default)]
                data: Data,
            },
        }
        Ok(match Raw::deserialize(deserializer)? {
            Raw::Text(text) => Self::new(MessageCode::Other, text),
            Raw::Message { code, text, data } => Self { code, text, data },
        })
    }
}

/// The sentences that a page has words for, each with the names of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageCode {
    // Why an engine was chosen.
    /// The job names the engine.
    AskedFor,
    /// The best engine of the worker; `without`: the better engines that it does not have or does not take.
    BestHere,
    /// Every worker with a GPU was busy; `waited_s`.
    GpuBusy,
    /// No worker has the model on a GPU.
    NoGpuWorker,
    /// Another engine failed; `engine`, `message`.
    EngineFellBack,

    // What an engine decided.
    /// Fewer layers than were asked for; `asked`, `given`.
    FewerLayers,
    /// More layers were asked for than the engine can make; `engine`, `asked`, `most`.
    MostLayers,
    /// The number of layers was left to the engine; `layers`.
    ChoseLayers,
    /// The engine has no networks for text and subjects; `reason`.
    NoNetworks,
    /// The engine does not read prompts.
    PromptIgnored,
    /// The model described the picture; `caption`.
    Captioned,
    /// A layer was empty and was dropped; `layer`.
    DroppedEmpty,
    /// A layer repeated the whole picture and was dropped; `layer`.
    DroppedCopy,
    /// A layer repeated another and was merged into it; `layer`, `into`.
    MergedDuplicate,
    /// The layers were upscaled; `width`, `height`: the model's size.
    Upscaled,
    /// A layer that was to be split has no parts.
    NotSplit,
    /// The engine has no other size of the layers.
    OneSize,
    /// Where the layers were made; `location`.
    MadeElsewhere,
    /// The picture's file lacks its end, but all of its pixels were there.
    EndMissing,
    /// The picture has a high dynamic range, which was brought to that of sRGB.
    ToneMapped,

    // Why a background is as good as it is.
    /// Next to nothing of it was hidden.
    BackgroundWhole,
    /// It is smooth around what was hidden; `percent` of the picture.
    BackgroundSmooth,
    /// It is flat art: even colours with edges; `percent` of the picture was hidden.
    BackgroundFlatArt,
    /// It has texture, and small parts were hidden; `percent` of the picture.
    BackgroundTexture,
    /// It has texture, and large parts were hidden; `percent` of the picture.
    BackgroundLargeHoles,

    // How the model runs.
    /// The memory plan; `plan`.
    MemoryPlan,
    /// Something runs slower or less exactly than it could; `detail`.
    Degraded,
    /// The memory did not suffice and a smaller plan is tried; `detail`.
    SmallerPlan,
    /// Only the first steps were guided; `guided`, `steps`.
    GuidedSteps,
    /// Steps were taken from the cache; `reused`, `passes`, `percent`.
    StepCache,
    /// No step was close enough for the cache; `percent`.
    StepCacheUnused,
    /// Products were taken in fp8.
    Fp8Products,
    /// Products could not be taken in fp8; `reason`.
    Fp8Unavailable,

    // What happens to a running job.
    /// A step takes far longer than usual; `engine`, `stage`, `seconds`, `activity`.
    SlowStep,
    /// No progress; `engine`, `stage`, `seconds`, `activity`.
    NoProgress,
    /// What the job needs failed, and it is tried again; `reason`, `wait_s`.
    RetryLater,
    /// The layers were not described; `reason`.
    NotDescribed,

    // Why a job went back to the queue.
    /// Its worker sent no heartbeat; `after_s`.
    WorkerSilent,
    /// Its worker shut down.
    WorkerShutDown,
    /// Its worker pauses until what failed works again; `reason`.
    WorkerPaused,
    /// What the job needs failed, and it is tried again; `reason`.
    Retry,
    /// The service stopped while it was working on the job; `requests`: how many requests may have been the cause.
    ServiceStopped,

    /// Something else.
    #[default]
    #[serde(other)]
    Other,
}

impl MessageCode {
    /// Every code that a page needs words for: all but [`MessageCode::Other`].
    pub const ALL: [Self; 42] = [
        Self::AskedFor,
        Self::BestHere,
        Self::GpuBusy,
        Self::NoGpuWorker,
        Self::EngineFellBack,
        Self::FewerLayers,
        Self::MostLayers,
        Self::ChoseLayers,
        Self::NoNetworks,
        Self::PromptIgnored,
        Self::Captioned,
        Self::DroppedEmpty,
        Self::DroppedCopy,
        Self::MergedDuplicate,
        Self::Upscaled,
        Self::NotSplit,
        Self::OneSize,
        Self::MadeElsewhere,
        Self::EndMissing,
        Self::ToneMapped,
        Self::BackgroundWhole,
        Self::BackgroundSmooth,
        Self::BackgroundFlatArt,
        Self::BackgroundTexture,
        Self::BackgroundLargeHoles,
        Self::MemoryPlan,
        Self::Degraded,
        Self::SmallerPlan,
        Self::GuidedSteps,
        Self::StepCache,
        Self::StepCacheUnused,
        Self::Fp8Products,
        Self::Fp8Unavailable,
        Self::SlowStep,
        Self::NoProgress,
        Self::RetryLater,
        Self::NotDescribed,
        Self::WorkerSilent,
        Self::WorkerShutDown,
        Self::WorkerPaused,
        Self::Retry,
        Self::ServiceStopped,
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_read_as_they_are_written_and_as_earlier_versions_wrote_them() {
        let message = Message::new(MessageCode::FewerLayers, "4 asked").with("asked", 4).with("given", 2);
        let value = serde_json::to_value(&message).expect("JSON");
        assert_eq!(value, json!({ "code": "fewer_layers", "text": "4 asked", "data": { "asked": 4, "given": 2 } }));
        assert_eq!(serde_json::from_value::<Message>(value).expect("read"), message);
        let old: Message = serde_json::from_value(json!("4 asked")).expect("read");
        assert_eq!((old.code, old.text.as_str()), (MessageCode::Other, "4 asked"));
        let new: Message = serde_json::from_value(json!({ "code": "of_tomorrow", "text": "x" })).expect("read");
        assert_eq!(new.code, MessageCode::Other);
    }

    #[test]
    fn the_list_has_every_code_once() {
        let distinct: HashSet<_> = MessageCode::ALL.into_iter().collect();
        assert!(distinct.len() == MessageCode::ALL.len() && !distinct.contains(&MessageCode::Other));
        // The last one before `Other` closes the list.
        assert_eq!(MessageCode::Other as usize, MessageCode::ALL.len());
    }
}
