//! How much of the storage a client may fill.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use jobs::Store;
use jobs::store::{StoreError, StoredSizes};
use service::ByteSize;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::caller::Caller;
use crate::config::access::AccessConfig;
use crate::http::error::Error;

/// How long a list of the storage is used. What this process adds is counted at once, deletions and what others add when
/// it is listed anew.
const FRESH: Duration = Duration::from_secs(60);

/// Compares what clients have in the storage with what they may have.
#[derive(Debug)]
pub(crate) struct Quotas {
    uploads: Option<u64>,
    stored: Option<u64>,
    listing: Mutex<Option<Listing>>,
}

#[derive(Debug)]
struct Listing {
    at: Instant,
    sizes: StoredSizes,
    /// By client key, once it has asked.
    totals: HashMap<String, Totals>,
}

/// What a client has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    uploads: u64,
    bytes: u64,
}

impl Quotas {
    pub(crate) fn new(config: &AccessConfig) -> Self {
        Self { uploads: config.uploads, stored: config.stored, listing: Mutex::default() }
    }

    /// Whether the client may upload a picture.
    ///
    /// # Errors
    /// 429 when it has too many uploads or bytes.
    pub(crate) async fn check_upload(&self, store: &Store, caller: &Caller) -> Result<(), Error> {
        self.check(store, caller, caller.limits().uploads.or(self.uploads)).await
    }

    /// Whether the client may start a job, whose result takes room.
    ///
    /// # Errors
    /// 429 when it has too many bytes.
    pub(crate) async fn check_room(&self, store: &Store, caller: &Caller) -> Result<(), Error> {
        self.check(store, caller, None).await
    }

    async fn check(&self, store: &Store, caller: &Caller, uploads: Option<u64>) -> Result<(), Error> {
        let stored = caller.limits().stored.or(self.stored);
        if uploads.is_none() && stored.is_none() {
            return Ok(());
        }
        let totals = self.totals(store, caller).await?;
        let wait = "wait until some are cleaned up";
        if let Some(most) = uploads.filter(|most| totals.uploads >= *most) {
            let message = format!("you have {} uploads, and at most {most} are allowed; {wait}", totals.uploads);
            return Err(too_much("upload_quota", message));
        }
        if let Some(most) = stored.filter(|most| totals.bytes >= *most) {
            let (has, most) = (ByteSize(totals.bytes), ByteSize(most));
            let message =
                format!("your uploads and results take {has}, and at most {most} are allowed; delete jobs, or {wait}");
            return Err(too_much("storage_quota", message));
        }
        Ok(())
    }

    /// Counts an upload that was just stored.
    pub(crate) async fn add_upload(&self, id: Uuid, bytes: u64, caller: &Caller) {
        if let Some(listing) = self.listing.lock().await.as_mut() {
            listing.sizes.uploads.push((id, bytes));
            if let Some(totals) = listing.totals.get_mut(caller.client()) {
                totals.uploads += 1;
                totals.bytes += bytes;
            }
        }
    }

    /// Counts bytes that were just stored beside a result.
    pub(crate) async fn add_bytes(&self, bytes: u64, caller: &Caller) {
        if let Some(listing) = self.listing.lock().await.as_mut()
            && let Some(totals) = listing.totals.get_mut(caller.client())
        {
            totals.bytes += bytes;
        }
    }

    async fn totals(&self, store: &Store, caller: &Caller) -> Result<Totals, StoreError> {
        let mut listing = self.fresh(store).await?;
        let Some(Listing { sizes, totals, .. }) = listing.as_mut() else { return Ok(Totals::default()) };
        if let Some(totals) = totals.get(caller.client()) {
            return Ok(*totals);
        }
        let own = |all: &[(Uuid, u64)]| {
            let own = all.iter().filter(|(id, _)| caller.owns(*id));
            own.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
        };
        let ((uploads, in_uploads), (_, in_results)) = (own(&sizes.uploads), own(&sizes.results));
        let found = Totals { uploads, bytes: in_uploads + in_results };
        totals.insert(caller.client().to_owned(), found);
        Ok(found)
    }

    /// A list that is not old. Whoever comes while it is made waits for it.
    async fn fresh(&self, store: &Store) -> Result<MutexGuard<'_, Option<Listing>>, StoreError> {
        let mut listing = self.listing.lock().await;
        if listing.as_ref().is_none_or(|listing| listing.at.elapsed() >= FRESH) {
            let at = Instant::now();
            *listing = Some(Listing { at, sizes: store.sizes().await?, totals: HashMap::new() });
        }
        Ok(listing)
    }
}

fn too_much(code: &'static str, message: String) -> Error {
    let seconds = u32::try_from(FRESH.as_secs()).unwrap_or(u32::MAX);
    Error::retry_later(StatusCode::TOO_MANY_REQUESTS, code, message, seconds)
}
