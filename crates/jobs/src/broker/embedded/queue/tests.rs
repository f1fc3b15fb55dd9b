use super::*;
use crate::Params;
use crate::broker::Fault;
use crate::broker::embedded::thread::QueueThread;

fn new_job() -> NewJob {
    NewJob::new(Uuid::new_v4(), Params::default())
}

async fn open(dir: &tempfile::TempDir) -> QueueThread {
    let file = dir.path().join("queue.sqlite");
    let rules = Rules { queue_limit: 10_000, client_limit: 10_000, ..Rules::default() };
    QueueThread::start(move || Queue::open(&file, rules, Signals::new(), &Clock::default())).await.expect("a queue")
}

#[tokio::test]
async fn a_panic_in_a_change_takes_the_change_back() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let queue = open(&dir).await;
    let panics = |queue: &mut Queue| {
        queue.transact(|change| -> Result<()> {
            change.execute("INSERT INTO rounds (class, round) VALUES (7, 7)", [])?;
            panic!("a bug")
        })
    };
    assert!(matches!(queue.call(panics).await, Err(BrokerError::Panicked)));
    let count = |queue: &mut Queue| -> Result<i64> {
        Ok(queue.db.query_row("SELECT count(*) FROM rounds", [], |row| row.get(0))?)
    };
    let left = queue.call(count);
    assert_eq!(left.await.expect("the queue goes on"), 0);
    queue.call(|queue| queue.submit(new_job())).await.expect("the queue goes on");
}

#[tokio::test]
async fn a_full_disk_is_told_and_gets_over() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let queue = open(&dir).await;
    // As good as a disk that is full: SQLite itself answers the same when it is.
    let limit = |pages: &'static str| {
        queue.call(move |queue| {
            queue.db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).map_err(Into::into)
        })
    };
    limit("1").await.expect("a limit");
    let mut refused = None;
    for _ in 0..200 {
        refused = queue.call(|queue| queue.submit(new_job())).await.err();
        if refused.is_some() {
            break;
        }
    }
    assert_eq!(refused.expect("it took all").fault(), Some(Fault::DiskFull));
    limit("1000000").await.expect("no limit");
    queue.call(|queue| queue.submit(new_job())).await.expect("there is room again");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_left_out() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let queue = open(&dir).await;
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let busy = queue.call(move |_| {
        let _ = wait.recv();
        Ok(())
    });
    let mut busy = std::pin::pin!(busy);
    let mut left = Box::pin(queue.call(|queue| queue.submit(new_job())));
    assert!(futures_util::poll!(busy.as_mut()).is_pending());
    assert!(futures_util::poll!(left.as_mut()).is_pending());
    drop(left);
    go_on.send(()).expect("it waits");
    busy.await.expect("done");
    assert_eq!(queue.call(|queue| queue.stats()).await.expect("stats").queued, 0);
}
