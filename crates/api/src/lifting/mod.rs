//! Parts of what is seen, lifted off layers: looking at a document, finding what a prompt shows, and cutting it out.
//!
//! What a document looks like is kept for the next prompts, by what is seen and not by revision: an edit that changes no
//! pixel, and undoing one that does, cost no second look.

pub(crate) mod cut;
pub(crate) mod exchange;
pub(crate) mod look;
pub(crate) mod mask;
pub(crate) mod stroke;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use jobs::JobId;
use jobs::store::StoredDocument;
use jobs::tree::Composition;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use self::look::Look;
use crate::auth::caller::Caller;
use crate::export::OpenLeaves;
use crate::http::error::Error;
use crate::state::App;
use crate::turns::{Busy, TurnLimits, Turns};

/// Documents whose looks are kept: about 12 MB each.
const KEPT: usize = 8;

/// Work that runs at once: it uses all processors.
const RUNNING: usize = 2;

/// Work that waits or runs, in all and of one client.
const UNFINISHED: usize = 48;
const UNFINISHED_PER_CLIENT: usize = 8;

/// How long work waits for its turn.
const WAIT: Duration = Duration::from_secs(60);

/// What is seen of a document: the job, and a hash of its composition.
type Seen = (JobId, [u8; 32]);

/// A look, once somebody has taken it. Who takes it holds the lock, so that others wait for it.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Look>>>>;

/// Turns for this kind of work, and the looks of before.
pub(crate) struct Lifting {
    turns: Arc<Turns>,
    /// The most recently used last.
    looks: Mutex<Vec<(Seen, Slot)>>,
}

impl Lifting {
    /// `memory` is for all work that runs at once, in bytes.
    pub(crate) fn new(memory: u64) -> Arc<Self> {
        let turns = Turns::new(TurnLimits {
            running: RUNNING,
            running_per_client: 1,
            memory,
            unfinished: UNFINISHED,
            unfinished_per_client: UNFINISHED_PER_CLIENT,
            wait: WAIT,
        });
        Arc::new(Self { turns, looks: Mutex::default() })
    }

    fn slot(&self, seen: Seen) -> Slot {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = looks.iter().position(|(other, _)| *other == seen);
        let entry = known.map_or_else(|| (seen, Slot::default()), |at| looks.remove(at));
        let slot = Arc::clone(&entry.1);
        looks.push(entry);
        let dropped = looks.len().saturating_sub(KEPT);
        looks.drain(..dropped);
        slot
    }
}

/// What a document looks like now, for prompts if `for_prompts`. Dropping the future ends the work.
pub(crate) async fn look(
    app: &App,
    caller: &Caller,
    shown: &StoredDocument,
    composition: &Composition,
    for_prompts: bool,
) -> Result<Arc<Look>, Error> {
    let hash = Sha256::digest(format!("{composition:?}")).into();
    let slot = app.lifting.slot((shown.stored.tree.job_id, hash));
    let mut kept = slot.lock().await;
    if let Some(look) = kept.as_ref().filter(|look| look.answers_prompts() || !for_prompts) {
        return Ok(Arc::clone(look));
    }
    let document = composition.document.clone();
    let elements = composition.elements.clone();
    let pixels = u64::from(document.width) * u64::from(document.height);
    // The composite and its colours.
    let more = 8 * pixels + if for_prompts { look::NETWORK_BYTES } else { 0 };
    let work =
        move |leaves: &OpenLeaves, stop: &CancellationToken| Look::take(leaves, &document, elements, for_prompts, stop);
    let look = Arc::new(run(app, caller, shown, composition, more, work).await?);
    *kept = Some(Arc::clone(&look));
    Ok(look)
}

/// Runs work on the pixels of a composition in its turn, on a thread that may block. `more` is the memory that it needs
/// beside the loading, in bytes. Dropping the future cancels the token that it gets.
pub(crate) async fn run<T: Send + 'static>(
    app: &App,
    caller: &Caller,
    shown: &StoredDocument,
    composition: &Composition,
    more: u64,
    work: impl FnOnce(&OpenLeaves, &CancellationToken) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let (leaves, memory) = OpenLeaves::new(app, &shown.stored, composition, &stop)?;
    let (turn, place) = app.lifting.turns.enter(caller.client(), memory.saturating_add(more)).await.map_err(busy)?;
    // A span of its own: blocking threads do not inherit the request's.
    let span = tracing::Span::current();
    let in_flight = app.broker.in_flight();
    let task = move || {
        let _span = span.enter();
        let _in_flight = in_flight;
        let _held = (turn, place);
        work(&leaves, &stop)
    };
    tokio::task::spawn_blocking(task).await.map_err(Error::internal)?
}

/// For work whose client has left: nobody reads it.
pub(crate) fn stopped() -> Error {
    Error::internal("the client has left")
}

fn busy(busy: Busy) -> Error {
    let message = match busy {
        Busy::Client(count) => {
            format!("{count} of your requests of this kind wait or run; send this one when some are done")
        }
        Busy::Service(_) | Busy::Waited => {
            "the service cuts out parts for many others at the moment; try again soon".to_owned()
        }
    };
    Error::retry_later(StatusCode::SERVICE_UNAVAILABLE, "lifting_busy", message, 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_looks_that_were_used_last_are_kept() {
        let lifting = Lifting::new(1 << 30);
        let seen = |n: u8| (JobId::nil(), [n; 32]);
        let first = lifting.slot(seen(0));
        for n in 1..KEPT as u8 {
            lifting.slot(seen(n));
        }
        assert!(Arc::ptr_eq(&first, &lifting.slot(seen(0))));
        lifting.slot(seen(100));
        assert!(Arc::ptr_eq(&first, &lifting.slot(seen(0))), "it was used again");
        let count = lifting.looks.lock().unwrap().len();
        assert_eq!(count, KEPT);
        for n in 101..=100 + KEPT as u8 {
            lifting.slot(seen(n));
        }
        assert!(!Arc::ptr_eq(&first, &lifting.slot(seen(0))));
    }
}
