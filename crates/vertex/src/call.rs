//! Runs one job in the container.

use std::time::Duration;

use engine::{EngineError, EngineJob, ProgressSink, Stage, Step, StopReason, Stopped};
use google::{Error, Kind, ObjectUri, Repeat};
use image::{ImageFormat, ImageReader, RgbaImage};
use jobs::JobId;
use layers::Layer;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::CloudConfig;
use crate::advice::with_advice;
use crate::engine::{Clients, failed};
use crate::protocol::{Blob, Instance, Outcome, Prediction, RemoteLayer, RemoteResult, RemoteStep, encoded_len};

/// How often a call checks whether to stop.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Timeout of cancelling a job in the container.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// After this many calls in a row without an answer, the job fails.
const MAX_UNCERTAIN_CALLS: u32 = 3;

/// After this many answers in a row that a container does not know the job, the job counts as lost. Calls are spread over
/// the containers at random: with eight of them, all have been asked in 99 of 100 cases.
const MAX_MISSES: u32 = 35;

/// The pause between two such calls.
const MISS_PAUSE: Duration = Duration::from_millis(500);

/// How often a lost job is sent again.
const MAX_RESENDS: u32 = 3;

/// Bytes of a request that are reserved for everything but the picture.
const REQUEST_OVERHEAD_BYTES: usize = 64 << 10;

/// The container's share of the progress; the rest is for fetching the layers.
const REMOTE_SHARE: f32 = 0.95;

/// A job that runs in the container.
pub(crate) struct Call<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) config: &'a CloudConfig,
    pub(crate) id: JobId,
    pub(crate) job: EngineJob<'a>,
    /// The job's folder in Cloud Storage.
    pub(crate) folder: Option<ObjectUri>,
}

/// The search for a job that may have been started.
#[derive(Default)]
struct Search {
    /// Answers in a row from containers that do not know the job.
    misses: u32,
    resends: u32,
}

type CallResult = Result<(RemoteResult, Vec<Layer>), EngineError>;

impl Call<'_> {
    /// Sends the picture, follows the run and fetches the layers. Cancels a run whose result nobody will fetch.
    pub(crate) async fn run(&self, progress: &mut dyn ProgressSink) -> CallResult {
        let mut may_run = self.job.origin.resumed;
        let made = self.follow(&mut may_run, progress).await;
        if made.is_err() && may_run && !self.is_left_running(&made, progress) {
            self.cancel().await;
        }
        made
    }

    /// Whether the run is left to the next attempt: if this one was lost or given back, but not if it was cancelled.
    pub(crate) fn is_left_running(&self, made: &CallResult, progress: &dyn ProgressSink) -> bool {
        let reason = progress.stop_reason();
        let is_for_next = matches!(reason, None | Some(StopReason::Lost | StopReason::ShuttingDown));
        matches!(made, Err(EngineError::Stopped(_))) && is_for_next
    }

    /// Sets `may_run` once a container may have started the job: from then on the picture is sent again only if
    /// [`Call::after_unknown`] decides so.
    async fn follow(&self, may_run: &mut bool, progress: &mut dyn ProgressSink) -> CallResult {
        let begin = Step { stage: Stage::Send, step: 0, total: 1, fraction: 0.0 };
        progress.step(begin)?;
        let mut last = begin;
        let image = unless_stopped(self.image(), &last, progress).await??;
        let (mut send_image, mut uncertain_calls) = (!*may_run, 0);
        let mut search = Search::default();
        loop {
            let instance = self.instance(send_image.then(|| image.clone()));
            let repeat = if send_image { Repeat::Costly } else { Repeat::Harmless };
            // Set before the call, which may be dropped halfway.
            let may_have_run = *may_run;
            *may_run |= send_image;
            let prediction = match unless_stopped(self.predict(&instance, repeat), &last, progress).await? {
                Ok(prediction) => prediction,
                // The container may have started the job all the same; the next call asks.
                Err(error)
                    if uncertain_calls < MAX_UNCERTAIN_CALLS
                        && error.may_have_begun()
                        && (send_image || is_late(&error)) =>
                {
                    tracing::info!(job_id = %self.id, %error, "asking the container whether it has the job");
                    (send_image, uncertain_calls) = (false, uncertain_calls + 1);
                    continue;
                }
                Err(error) => {
                    *may_run = may_have_run || error.may_have_begun();
                    return Err(failed(with_advice(&error)));
                }
            };
            match prediction.outcome {
                Outcome::Running { progress: step } => {
                    (send_image, uncertain_calls, search.misses) = (false, 0, 0);
                    if let Some(step) = step {
                        last = local_step(&step);
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
                    return Err(failed(
                        "the job was cancelled on Vertex AI by another client; submit it again".to_owned(),
                    ));
                }
                Outcome::Unknown if send_image => {
                    return Err(failed("the container did not accept the job; check its log".to_owned()));
                }
                Outcome::Unknown => {
                    send_image = self.after_unknown(&mut search)?;
                    unless_stopped(sleep(MISS_PAUSE), &last, progress).await?;
                }
            }
        }
    }

    /// Whether to send the picture again after a container answered that it does not know the job.
    ///
    /// Another container may run it, so the endpoint is called often enough to reach them all. A job that none of them has
    /// is computed again: its container has ended.
    fn after_unknown(&self, search: &mut Search) -> Result<bool, EngineError> {
        search.misses += 1;
        if search.misses <= MAX_MISSES {
            return Ok(false);
        }
        if search.resends == MAX_RESENDS {
            let message = "the endpoint's containers keep losing the job; check their logs";
            return Err(failed(message.to_owned()));
        }
        search.resends += 1;
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
            // The answer has to arrive before the endpoint times out.
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

    /// Cancels the job in the container. Best effort: a container that is not reached finishes a result that nobody
    /// fetches.
    async fn cancel(&self) {
        let instance = Instance { cancel: true, wait_s: 0, ..self.instance(None) };
        let cancelling = async {
            // Another container of the endpoint may answer.
            while let Outcome::Unknown = self.predict(&instance, Repeat::Harmless).await?.outcome {
                sleep(Duration::from_millis(500)).await;
            }
            Ok::<_, Error>(())
        };
        match timeout(CANCEL_TIMEOUT, cancelling).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(job_id = %self.id, error = with_advice(&error), "the job could not be cancelled on Vertex AI");
            }
            Err(_) => tracing::warn!(job_id = %self.id, "the job could not be cancelled on Vertex AI in time"),
        }
    }

    /// The picture: inside the request, or in Cloud Storage if it is too large for that.
    async fn image(&self) -> Result<Blob, EngineError> {
        let mut png = Vec::new();
        layers::write_png(&mut png, self.job.input)
            .map_err(|error| failed(format!("the picture could not be encoded: {error}")))?;
        let inline = encoded_len(png.len()) + REQUEST_OVERHEAD_BYTES <= self.clients.predictor.endpoint().size_limit();
        // Without a folder, the endpoint rejects the request for its size, and `with_advice` says what to do.
        let Some(folder) = self.folder.as_ref().filter(|_| !inline) else { return Ok(Blob::Inline(png)) };
        let uri = folder.join("input.png");
        let put = self.clients.storage.put(&uri, "image/png", png).await;
        put.map_err(|error| failed(with_advice(&error)))?;
        Ok(Blob::Uri(uri.to_string()))
    }

    async fn layers(&self, result: &RemoteResult) -> Result<Vec<Layer>, EngineError> {
        let mut layers = Vec::new();
        for remote in &result.layers {
            let pixels = match &remote.png {
                Blob::Inline(png) => decode(png)?,
                Blob::Uri(uri) => {
                    let uri = self.own_object(uri)?;
                    let png = self.clients.storage.get(&uri).await.map_err(|error| failed(with_advice(&error)))?;
                    decode(&png)?
                }
            };
            let RemoteLayer { name, kind, text, group, label, x, y, png: _ } = remote;
            let (text, label) = (text.clone(), label.clone());
            layers.push(Layer { text, group: *group, label, x: *x, y: *y, ..Layer::new(name, *kind, pixels) });
        }
        Ok(layers)
    }

    /// Parses an address, which has to be in the job's own folder: an answer must not make us read anything else.
    fn own_object(&self, uri: &str) -> Result<ObjectUri, EngineError> {
        let parsed: ObjectUri = uri.parse().map_err(failed)?;
        let expected = self.folder.as_ref().is_some_and(|folder| {
            parsed.bucket == folder.bucket && parsed.name.strip_prefix(&folder.name).is_some_and(|r| r.starts_with('/'))
        });
        if expected {
            Ok(parsed)
        } else {
            Err(failed(format!(
                "the container returned {uri}, which is outside of the job's folder; check the container"
            )))
        }
    }
}

fn is_late(error: &Error) -> bool {
    error.kind == Kind::Timeout
}

/// Waits for `work`; drops it when the job is stopped.
async fn unless_stopped<T>(
    work: impl Future<Output = T>,
    last: &Step,
    progress: &mut dyn ProgressSink,
) -> Result<T, Stopped> {
    let mut work = std::pin::pin!(work);
    let mut ticks = interval(STOP_POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            _ = ticks.tick() => progress.step(*last)?,
        }
    }
}

/// Converts a step of the container.
fn local_step(step: &RemoteStep) -> Step {
    let fraction = REMOTE_SHARE * step.fraction.clamp(0.0, 1.0);
    Step { stage: step.stage, step: step.step, total: step.total, fraction }
}

fn decode(png: &[u8]) -> Result<RgbaImage, EngineError> {
    let decoded = ImageReader::with_format(std::io::Cursor::new(png), ImageFormat::Png).decode();
    decoded.map(image::DynamicImage::into_rgba8).map_err(|e| failed(format!("a layer from Vertex AI is damaged: {e}")))
}
