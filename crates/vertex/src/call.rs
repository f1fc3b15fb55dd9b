//! One job on its way to the container and back.

use std::time::Duration;

use engine::{EngineError, EngineJob, ProgressSink, Stage, Step, StopReason, Stopped};
use google::{Error, Kind, ObjectUri, Repeat};
use image::{ImageFormat, ImageReader, RgbaImage};
use jobs::JobId;
use layers::Layer;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::CloudConfig;
use crate::advice::advised;
use crate::engine::{Clients, failed};
use crate::protocol::{Blob, Instance, Outcome, Prediction, RemoteLayer, RemoteResult, RemoteStep, encoded_len};

/// How often it looks whether to stop.
const LOOK: Duration = Duration::from_millis(200);

/// How long telling the container to stop may take.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// How many calls in a row may end without an answer before the job fails.
const MOST_DOUBTS: u32 = 3;

/// How often in a row a job that may have been begun is looked for among the endpoint's containers before it counts as
/// lost. Calls are spread over them at random: of eight, each is asked but for one case in a hundred.
const MOST_MISSES: u32 = 35;

/// The pause between two such looks.
const MISS_PAUSE: Duration = Duration::from_millis(500);

/// How often a job that no container has is sent again.
const MOST_TIMES_AGAIN: u32 = 3;

/// Room in a request for everything but the picture, in bytes.
const MARGIN: usize = 64 << 10;

/// Share of the bar that the container has; the rest is for fetching the layers.
const REMOTE_SHARE: f32 = 0.95;

/// One job on its way.
pub(crate) struct Call<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) config: &'a CloudConfig,
    pub(crate) id: JobId,
    pub(crate) job: EngineJob<'a>,
    /// Where the job's files are in Cloud Storage.
    pub(crate) folder: Option<ObjectUri>,
}

/// How a job that may have been begun was looked for.
#[derive(Default)]
struct Search {
    /// Answers in a row of containers that do not know it.
    misses: u32,
    sent_again: u32,
}

type Made = Result<(RemoteResult, Vec<Layer>), EngineError>;

impl Call<'_> {
    /// Sends the picture, follows the work, fetches the layers. What nobody will fetch is ended.
    pub(crate) async fn run(&self, progress: &mut dyn ProgressSink) -> Made {
        let mut may_run = self.job.origin.resumed;
        let made = self.follow(&mut may_run, progress).await;
        if made.is_err() && may_run && !self.is_left_running(&made, progress) {
            self.cancel().await;
        }
        made
    }

    /// Whether the next attempt is to find the run: of one that was lost or given back, not of one that was cancelled.
    pub(crate) fn is_left_running(&self, made: &Made, progress: &dyn ProgressSink) -> bool {
        let reason = progress.stop_reason();
        let is_for_next = matches!(reason, None | Some(StopReason::Lost | StopReason::ShuttingDown));
        matches!(made, Err(EngineError::Stopped(_))) && is_for_next
    }

    /// `may_run` says whether a container may work on the job: from then on the picture is sent again only as
    /// [`Call::after_unknown`] says.
    async fn follow(&self, may_run: &mut bool, progress: &mut dyn ProgressSink) -> Made {
        let begin = Step { stage: Stage::Send, step: 0, total: 1, fraction: 0.0 };
        progress.step(begin)?;
        let mut last = begin;
        let image = unless_stopped(self.image(), &last, progress).await??;
        let (mut send_image, mut doubts) = (!*may_run, 0);
        let mut search = Search::default();
        loop {
            let instance = self.instance(send_image.then(|| image.clone()));
            let repeat = if send_image { Repeat::Costly } else { Repeat::Harmless };
            // Also when it is given up on its way.
            let known = *may_run;
            *may_run |= send_image;
            let prediction = match unless_stopped(self.predict(&instance, repeat), &last, progress).await? {
                Ok(prediction) => prediction,
                // The container may work on it all the same; the next call asks.
                Err(error) if doubts < MOST_DOUBTS && error.may_have_begun() && (send_image || is_late(&error)) => {
                    tracing::info!(job_id = %self.id, %error, "asking the container whether it has the job");
                    (send_image, doubts) = (false, doubts + 1);
                    continue;
                }
                Err(error) => {
                    *may_run = known || error.may_have_begun();
                    return Err(failed(advised(&error)));
                }
            };
            match prediction.outcome {
                Outcome::Running { progress: step } => {
                    (send_image, doubts, search.misses) = (false, 0, 0);
                    if let Some(step) = step {
                        last = shown(&step);
                        progress.step(last)?;
                    }
                }
                Outcome::Succeeded(result) => {
                    last = Step { stage: Stage::Fetch, step: 0, total: 1, fraction: REMOTE_SHARE };
                    progress.step(last)?;
                    let layers = unless_stopped(self.layers(&result), &last, progress).await??;
                    return Ok((*result, layers));
                }
                Outcome::Failed { error } => {
                    *may_run = false;
                    return Err(error.into());
                }
                Outcome::Cancelled => {
                    *may_run = false;
                    return Err(failed("the job was ended on Vertex AI by someone else".to_owned()));
                }
                Outcome::Unknown if send_image => {
                    return Err(failed("the container did not take the job".to_owned()));
                }
                Outcome::Unknown => {
                    send_image = self.after_unknown(&mut search)?;
                    unless_stopped(sleep(MISS_PAUSE), &last, progress).await?;
                }
            }
        }
    }

    /// Whether to send the picture after a container said that it does not know the job.
    ///
    /// Another one may be at work on it, so the endpoint is asked often enough to reach them all. A job that none of them
    /// has is computed again, which is the price of a container that ended.
    fn after_unknown(&self, search: &mut Search) -> Result<bool, EngineError> {
        search.misses += 1;
        if search.misses <= MOST_MISSES {
            return Ok(false);
        }
        if search.sent_again == MOST_TIMES_AGAIN {
            let message = "the endpoint's containers lose the job again and again; look at their log";
            return Err(failed(message.to_owned()));
        }
        search.sent_again += 1;
        search.misses = 0;
        tracing::warn!(job_id = %self.id, "no container has the job; sending it again");
        Ok(true)
    }

    fn instance(&self, image: Option<Blob>) -> Instance {
        Instance {
            job_id: self.id,
            image,
            params: self.job.params.clone(),
            describe: self.job.describe,
            // The answer has to be on its way before the endpoint ends the call.
            wait_s: self.config.wait.min(self.time_limit().mul_f32(0.8)).as_secs(),
            max_answer_bytes: self.clients.predictor.endpoint().size_limit(),
            output_uri: self.folder.as_ref().map(ToString::to_string),
            cancel: false,
        }
    }

    fn time_limit(&self) -> Duration {
        self.clients.predictor.endpoint().time_limit()
    }

    async fn predict(&self, instance: &Instance, repeat: Repeat) -> Result<Prediction, Error> {
        self.clients.predictor.predict(instance, self.time_limit(), repeat).await
    }

    /// Best effort: a container that does not hear of it finishes its work, and nobody fetches it.
    async fn cancel(&self) {
        let instance = Instance { cancel: true, wait_s: 0, ..self.instance(None) };
        let telling = async {
            // One of several containers may answer that has another job.
            while let Outcome::Unknown = self.predict(&instance, Repeat::Harmless).await?.outcome {
                sleep(Duration::from_millis(500)).await;
            }
            Ok::<_, Error>(())
        };
        match timeout(CANCEL_PATIENCE, telling).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(job_id = %self.id, error = advised(&error), "Vertex AI could not be told to stop");
            }
            Err(_) => tracing::warn!(job_id = %self.id, "Vertex AI could not be told to stop in time"),
        }
    }

    /// The picture inside the request, or, where it is too large for that, in Cloud Storage.
    async fn image(&self) -> Result<Blob, EngineError> {
        let mut png = Vec::new();
        layers::write_png(&mut png, self.job.input)
            .map_err(|error| failed(format!("the picture could not be encoded: {error}")))?;
        let inline = encoded_len(png.len()) + MARGIN <= self.clients.predictor.endpoint().size_limit();
        // Without a folder the request is rejected for its size, with a message that says what to do.
        let Some(folder) = self.folder.as_ref().filter(|_| !inline) else { return Ok(Blob::Inline(png)) };
        let uri = folder.join("input.png");
        let put = self.clients.storage.put(&uri, "image/png", png).await;
        put.map_err(|error| failed(advised(&error)))?;
        Ok(Blob::Uri(uri.to_string()))
    }

    async fn layers(&self, result: &RemoteResult) -> Result<Vec<Layer>, EngineError> {
        let mut layers = Vec::new();
        for RemoteLayer { name, kind, text, png } in &result.layers {
            let pixels = match png {
                Blob::Inline(png) => decode(png)?,
                Blob::Uri(uri) => {
                    let uri = self.own(uri)?;
                    let png = self.clients.storage.get(&uri).await.map_err(|error| failed(advised(&error)))?;
                    decode(&png)?
                }
            };
            layers.push(Layer { name: name.clone(), kind: *kind, text: text.clone(), pixels });
        }
        Ok(layers)
    }

    /// An address in the job's own folder: an answer must not make us read anything else.
    fn own(&self, uri: &str) -> Result<ObjectUri, EngineError> {
        let parsed: ObjectUri = uri.parse().map_err(failed)?;
        let expected = self.folder.as_ref().is_some_and(|folder| {
            parsed.bucket == folder.bucket && parsed.name.strip_prefix(&folder.name).is_some_and(|r| r.starts_with('/'))
        });
        if expected { Ok(parsed) } else { Err(failed(format!("the container named {uri}, which is not the job's"))) }
    }
}

fn is_late(error: &Error) -> bool {
    error.kind == Kind::Timeout
}

/// Waits for `work`; drops it when the job is to end.
async fn unless_stopped<T>(
    work: impl Future<Output = T>,
    last: &Step,
    progress: &mut dyn ProgressSink,
) -> Result<T, Stopped> {
    let mut work = std::pin::pin!(work);
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            _ = ticks.tick() => progress.step(*last)?,
        }
    }
}

/// A step of the container as one of ours.
fn shown(step: &RemoteStep) -> Step {
    let fraction = REMOTE_SHARE * step.fraction.clamp(0.0, 1.0);
    Step { stage: step.stage, step: step.step, total: step.total, fraction }
}

fn decode(png: &[u8]) -> Result<RgbaImage, EngineError> {
    let decoded = ImageReader::with_format(std::io::Cursor::new(png), ImageFormat::Png).decode();
    decoded.map(image::DynamicImage::into_rgba8).map_err(|e| failed(format!("a layer from Vertex AI is damaged: {e}")))
}
