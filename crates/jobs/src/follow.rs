use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};

use crate::{Broker, BrokerError, Event, JobId};

/// How many events one look brings at most.
const PAGE: usize = 256;

/// How long to wait for a wake before looking anyway, because one can get lost.
const POLL: Duration = Duration::from_secs(1);

/// A job's events with a number above `after`: first those that were, then
/// those that come, each once and in order.
///
/// Ends after the job's last event, at once when there is none to come or no
/// such job, and after an error. To go on after an error, follow again from
/// the last number seen.
pub fn follow(
    broker: Arc<dyn Broker>,
    id: JobId,
    after: u64,
) -> impl Stream<Item = Result<Event, BrokerError>> + Send + 'static {
    async_stream::try_stream! {
        // Listening starts before the first look, so that nothing falls in between.
        let mut wakes = broker.wakes();
        let mut after = after;
        loop {
            let events = broker.events_after(id, after, PAGE).await?;
            let page_is_full = events.len() == PAGE;
            let found_none = events.is_empty();
            for event in events {
                after = event.seq;
                let is_last = event.kind.is_terminal();
                yield event;
                if is_last {
                    return;
                }
            }
            if found_none && is_over(broker.as_ref(), id, after).await? {
                return;
            }
            if !page_is_full {
                wait_for(id, &mut wakes).await;
            }
        }
    }
}

/// Whether no event above `after` will come.
async fn is_over(broker: &dyn Broker, id: JobId, after: u64) -> Result<bool, BrokerError> {
    Ok(broker.job(id).await?.is_none_or(|job| job.state.is_terminal() && job.seq <= after))
}

/// Returns when `id` may have a new event.
async fn wait_for(id: JobId, wakes: &mut broadcast::Receiver<JobId>) {
    let deadline = Instant::now() + POLL;
    loop {
        match timeout_at(deadline, wakes.recv()).await {
            Ok(Ok(woken)) if woken != id => {}
            // Its broker is gone: polling is all that is left.
            Ok(Err(broadcast::error::RecvError::Closed)) => return tokio::time::sleep_until(deadline).await,
            Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) | Err(_) => return,
        }
    }
}
