//! Turns for decoding pictures.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;

use crate::http::error::Error;
use crate::turns::{Busy, Place, Turn, TurnLimits, Turns};

/// Pictures that may be decoded at once: each may take hundreds of megabytes.
const RUNNING: usize = 2;

/// Pictures that are decoded or wait for it, in all and of one client. Each occupies a scratch file of up to
/// `MAX_FILE_SIZE`.
const UNFINISHED: usize = 64;
const UNFINISHED_PER_CLIENT: usize = 40;

/// How long a picture waits for its turn; decoding the largest allowed one takes a few seconds.
const WAIT: Duration = Duration::from_secs(60);

/// Gives clients turns to have pictures decoded. Cheap to clone.
#[derive(Clone)]
pub struct Decodes(Arc<Turns>);

/// The right to decode one picture, held by the work until it has stopped.
pub struct Permit {
    _turn: Turn,
    _place: Place,
}

impl Decodes {
    pub fn new() -> Self {
        Self(Turns::new(TurnLimits {
            running: RUNNING,
            // A single client gets all of them; another one is next in turn.
            running_per_client: RUNNING,
            memory: u64::MAX,
            unfinished: UNFINISHED,
            unfinished_per_client: UNFINISHED_PER_CLIENT,
            wait: WAIT,
        }))
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// 503 when too many wait, or it takes too long.
    pub async fn acquire(&self, client: &str) -> Result<Permit, Error> {
        let (turn, place) = self.0.enter(client, 0).await.map_err(busy)?;
        Ok(Permit { _turn: turn, _place: place })
    }
}

fn busy(busy: Busy) -> Error {
    let message = match busy {
        Busy::Client(count) => {
            format!("{count} of your pictures are being decoded or wait for it; send this one when some are done")
        }
        Busy::Service(_) | Busy::Waited => "many pictures are being decoded at the moment; try again soon".to_owned(),
    };
    Error::retry_later(StatusCode::SERVICE_UNAVAILABLE, "uploads_busy", message, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_client_leaves_room_for_others() {
        let decodes = Decodes::new();
        let mut of_one = Vec::new();
        for _ in 0..UNFINISHED_PER_CLIENT {
            let decodes = decodes.clone();
            of_one.push(tokio::spawn(async move { decodes.acquire("a").await }));
        }
        while decodes.0.unfinished() < UNFINISHED_PER_CLIENT {
            tokio::task::yield_now().await;
        }
        assert!(decodes.acquire("a").await.is_err(), "one client took more than its share");
        let other = tokio::spawn({
            let decodes = decodes.clone();
            async move { decodes.acquire("b").await.map(drop) }
        });
        while decodes.0.unfinished() <= UNFINISHED_PER_CLIENT {
            tokio::task::yield_now().await;
        }
        // Its turn comes when the first of the other client's are done, not behind all of them.
        for permit in of_one.drain(..2) {
            drop(permit.await.unwrap().unwrap());
        }
        assert!(other.await.unwrap().is_ok());
    }
}
