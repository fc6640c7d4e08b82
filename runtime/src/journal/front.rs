//! The way from async code to a store: commits go to [`group`](super::group), questions to a thread of their own where the
//! store may take its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::group::{GroupSettings, Job, Writer, Written, commit_all};
use super::record::{Batch, Lease};
use super::storage::{Storage, StorageError};

/// The journal as the engine uses it. Clones are the same journal.
#[derive(Clone)]
pub(crate) struct Journal {
    storage: Arc<dyn Storage>,
    /// None where a commit does not block.
    queue: Option<mpsc::Sender<Job>>,
    /// Whether asking the store takes its time.
    blocks: bool,
    /// This host's lease in it.
    lease: Arc<AtomicU64>,
    written: Arc<Written>,
}

impl Journal {
    /// The front of `storage`. Its thread ends with [`Journal::close`], or with the last clone.
    ///
    /// # Panics
    /// When the operating system starts no thread for it.
    pub(crate) fn new(storage: Arc<dyn Storage>, settings: GroupSettings) -> Self {
        if !storage.is_durable() {
            return Self::front(storage, None, false);
        }
        let (queue, mut writer) = Writer::new(settings);
        let front = Self::front(storage, Some(queue), true);
        let (storage, written) = (Arc::clone(&front.storage), Arc::clone(&front.written));
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&*storage, &written))
            .expect("a process that starts may start a thread");
        front
    }

    /// The front of a store whose groups are written when the caller says so, as the simulator does.
    #[cfg(test)]
    pub(crate) fn by_hand(storage: Arc<dyn Storage>, settings: GroupSettings) -> (Self, Writer) {
        let (queue, writer) = Writer::new(settings);
        (Self::front(storage, Some(queue), false), writer)
    }

    fn front(storage: Arc<dyn Storage>, queue: Option<mpsc::Sender<Job>>, blocks: bool) -> Self {
        Self { storage, queue, blocks, lease: Arc::default(), written: Arc::default() }
    }

    /// Whether what is committed survives this process.
    pub(crate) fn is_durable(&self) -> bool {
        self.storage.is_durable()
    }

    /// What the store was given so far, where a commit takes its time.
    pub(crate) fn written(&self) -> &Written {
        &self.written
    }

    /// From now on this host is at work under this lease.
    pub(crate) fn set_lease(&self, lease: Lease) {
        self.lease.store(lease.0, Ordering::Release);
    }

    /// The lease of this host; before it has joined one that never was.
    pub(crate) fn lease(&self) -> Lease {
        Lease(self.lease.load(Ordering::Acquire))
    }

    /// Whether other hosts may have the store open.
    pub(crate) fn is_shared(&self) -> bool {
        self.storage.is_shared()
    }

    /// Applies the batch. `Ok` means that it is on the disk. After `Full` or `Io` the same batch may be tried again; had
    /// it been applied after all, the second try is a conflict. A caller that goes away does not stop its batch.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        let Some(queue) = &self.queue else {
            return commit_all(&*self.storage, &[batch]).swap_remove(0);
        };
        let (answer, result) = oneshot::channel();
        queue.send(Job::Commit(batch, answer)).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }

    /// Asks the store, off the async threads where that may block.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&dyn Storage) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        if !self.blocks {
            return ask(&*self.storage);
        }
        let storage = Arc::clone(&self.storage);
        tokio::task::spawn_blocking(move || ask(&*storage))
            .await
            .unwrap_or_else(|error| Err(StorageError::Io(format!("a question to the store failed: {error}"))))
    }

    /// Commits what has queued, tidies the store up, and takes no more. Closing twice is closing once.
    pub(crate) async fn close(&self) {
        let Some(queue) = &self.queue else { return };
        let (closing, done) = oneshot::channel();
        if queue.send(Job::Close(closing)).await.is_ok() {
            // An error is a second `close` that came first; then it is done all the same.
            let _ = done.await;
        }
    }
}

fn closed() -> StorageError {
    StorageError::Io("it is closed".into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::id::TenantId;
    use crate::journal::faulty::{Faults, Faulty};
    use crate::journal::record::{Entry, RunKey, Write};
    use crate::journal::samples::{Folder, append, at, run, started};
    use crate::journal::{MemoryStorage, RunLog as _, SqliteStorage};

    /// Counts the transactions of a store, and does what a test wants before each.
    struct Watched {
        transactions: AtomicUsize,
        before: Mutex<Box<dyn FnMut() + Send>>,
    }

    impl Watched {
        fn over(store: impl Storage, before: impl FnMut() + Send + 'static) -> Arc<Faulty<Self>> {
            let before: Box<dyn FnMut() + Send> = Box::new(before);
            let watched = Self { transactions: AtomicUsize::new(0), before: Mutex::new(before) };
            Faulty::new(Arc::new(store), Arc::new(watched))
        }

        fn transactions(&self) -> usize {
            self.transactions.load(Ordering::SeqCst)
        }
    }

    impl Faults for Watched {
        fn commit(&self, store: &dyn Storage, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
            self.transactions.fetch_add(1, Ordering::SeqCst);
            (self.before.lock().unwrap_or_else(PoisonError::into_inner))();
            store.commit(batches)
        }

        fn is_durable(&self, _: &dyn Storage) -> bool {
            true
        }
    }

    fn create(second: i64) -> (RunKey, Batch) {
        let row = run("acme", second);
        let key = row.key.clone();
        (key.clone(), Batch::of(vec![Write::CreateRun(row), append(&key, 0..1)]))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn commits_that_come_together_share_transactions() {
        let folder = Folder::new();
        let sqlite = SqliteStorage::open(&folder.path("journal.db")).unwrap();
        // The disk is busy with the first commit until the others have queued, all but as many as one group.
        let (gate, opened) = std::sync::mpsc::channel::<()>();
        let mut busy = true;
        let store = Watched::over(sqlite, move || {
            if std::mem::take(&mut busy) {
                opened.recv().unwrap();
            }
        });
        let journal = Journal::new(store.clone(), GroupSettings { queue: 500, group: 50 });
        let commit = |second| {
            let (journal, store) = (journal.clone(), store.clone());
            tokio::spawn(async move {
                let (key, batch) = create(second);
                journal.commit(batch).await.unwrap();
                assert!(store.store.run(&key).unwrap().is_some(), "answered before its transaction");
            })
        };
        let first = commit(0);
        while store.faults.transactions() == 0 {
            tokio::task::yield_now().await;
        }
        let commits: Vec<_> = std::iter::once(first).chain((1..=500).map(commit)).collect();
        while journal.queue.as_ref().unwrap().capacity() >= 50 {
            tokio::task::yield_now().await;
        }
        gate.send(()).unwrap();
        for commit in commits {
            commit.await.unwrap();
        }
        let transactions = store.faults.transactions();
        assert!(transactions < 100, "{transactions} transactions for 501 commits");
        assert_eq!(store.open_runs(&TenantId::from("acme")).unwrap(), 501);
    }

    #[tokio::test]
    async fn one_commit_alone_is_one_transaction() {
        let store = Watched::over(MemoryStorage::new(), || {});
        let journal = Journal::new(store.clone(), GroupSettings::default());
        for second in 0..3 {
            journal.commit(create(second).1).await.unwrap();
        }
        assert_eq!(store.faults.transactions(), 3);
    }

    #[tokio::test]
    async fn a_conflict_is_told_to_its_caller_alone() {
        let store = Watched::over(MemoryStorage::new(), || {});
        let key = started(&*store.store, "acme", 0..1);
        let journal = Journal::new(store, GroupSettings::default());
        let wrong = Batch::of(vec![append(&key, 7..8)]);
        let right = Batch::of(vec![append(&key, 1..2)]);
        let (wrong, right) = tokio::join!(journal.commit(wrong), journal.commit(right));
        assert!(matches!(wrong, Err(StorageError::Conflict(_))), "{wrong:?}");
        right.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_lets_the_next_caller_wait() {
        let (gate, opened) = std::sync::mpsc::channel::<()>();
        let store = Watched::over(MemoryStorage::new(), move || opened.recv().unwrap());
        let journal = Journal::new(store.clone(), GroupSettings { queue: 2, group: 1 });
        let commits: Vec<_> = (0..8)
            .map(|second| {
                let journal = journal.clone();
                tokio::spawn(async move { journal.commit(create(second).1).await })
            })
            .collect();
        while journal.queue.as_ref().unwrap().capacity() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(commits.iter().all(|commit| !commit.is_finished()));
        (0..8).for_each(|_| gate.send(()).unwrap());
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
        assert_eq!(store.faults.transactions(), 8);
    }

    #[tokio::test]
    async fn a_panic_of_the_store_is_an_error_for_who_waits_and_no_more() {
        let mut first = true;
        let store = Watched::over(MemoryStorage::new(), move || {
            assert!(!std::mem::take(&mut first), "on purpose");
        });
        let journal = Journal::new(store, GroupSettings::default());
        let failed = journal.commit(create(1).1).await;
        assert!(matches!(failed, Err(StorageError::Io(_))), "{failed:?}");
        journal.commit(create(2).1).await.unwrap();
        let panicked = journal.ask(|_| -> Result<(), _> { panic!("on purpose") }).await;
        assert!(matches!(panicked, Err(StorageError::Io(_))), "{panicked:?}");
    }

    #[tokio::test]
    async fn a_disk_that_has_room_again_is_written_again() {
        let folder = Folder::new();
        let store = Arc::new(SqliteStorage::open(&folder.path("journal.db")).unwrap());
        let journal = Journal::new(store.clone(), GroupSettings::default());
        let (key, mut batch) = create(1);
        batch.writes.push(Write::Append {
            key: key.clone(),
            entries: vec![Entry { seq: 1, at: at(1), body: "x".repeat(100_000) }],
        });
        store.limit_pages(1);
        assert!(matches!(journal.commit(batch.clone()).await, Err(StorageError::Full(_))));
        store.limit_pages(1 << 30);
        journal.commit(batch).await.unwrap();
        let entries = journal.ask(move |store| store.entries(&key, 0)).await.unwrap();
        assert_eq!(entries.len(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn closing_commits_what_has_queued_and_leaves_one_file() {
        let folder = Folder::new();
        let path = folder.path("journal.db");
        let journal = Journal::new(Arc::new(SqliteStorage::open(&path).unwrap()), GroupSettings::default());
        let (answers, results): (Vec<_>, Vec<_>) = (0..100).map(|_| oneshot::channel()).unzip();
        for (second, answer) in (0..).zip(answers) {
            let job = Job::Commit(create(second).1, answer);
            journal.queue.as_ref().unwrap().send(job).await.unwrap();
        }
        journal.close().await;
        journal.close().await;
        for result in results {
            result.await.unwrap().unwrap();
        }
        assert_eq!(std::fs::metadata(folder.path("journal.db-wal")).unwrap().len(), 0);
        let refused = journal.commit(create(1).1).await;
        assert!(matches!(refused, Err(StorageError::Io(_))), "{refused:?}");
        let open = journal.ask(|store| store.open_runs(&TenantId::from("acme"))).await.unwrap();
        assert_eq!(open, 100);
    }

    #[tokio::test]
    async fn memory_is_committed_on_the_spot() {
        let journal = Journal::new(Arc::new(MemoryStorage::new()), GroupSettings::default());
        assert!(journal.queue.is_none());
        let (key, batch) = create(1);
        journal.commit(batch).await.unwrap();
        journal.close().await;
        assert!(journal.ask(move |store| store.run(&key)).await.unwrap().is_some());
    }
}
