//! Tests of a disk that fills up under a running store and gets space again.

use std::{
    io,
    ops::Bound,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use plugrank_contract::{Event, EventType, Item};
use plugrank_store::{NewItem, Store, StoreError, VectorSpace};
use redb::{BackendError, Builder, Database, DatabaseError, StorageBackend, backends::FileBackend};

use crate::{
    EmbeddedOptions, EmbeddedStore,
    open::{Disk, Opener},
};

/// Files on a disk that can be full.
#[derive(Clone, Debug, Default)]
struct SmallDisk {
    full: Arc<AtomicBool>,
}

impl Disk for SmallDisk {
    fn open(&self, builder: &Builder, path: &Path) -> Result<Database, DatabaseError> {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(redb::StorageError::Io)
            .map_err(DatabaseError::Storage)?;
        let file = FileBackend::new(file)?;
        builder.create_with_backend(SmallFile { file, full: Arc::clone(&self.full) })
    }
}

#[derive(Debug)]
struct SmallFile {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

type Range = Bound<u64>;

impl StorageBackend for SmallFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
    fn try_lock_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
    fn try_lock_shared_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }
    fn lock_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }
    fn lock_shared_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }
    fn unlock_range(&self, start: Range, end: Range) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
    fn query_lock_range(&self, start: Range, end: Range) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

fn item(id: &str) -> NewItem {
    let item = Item {
        item_id: id.into(),
        title: id.into(),
        text: "x".repeat(5000),
        categories: vec![],
        created_at: None,
        available: true,
        image_hash: None,
        features: Default::default(),
    };
    NewItem { item, image: None }
}

fn click(id: &str) -> Event {
    Event {
        event_id: id.into(),
        event_type: EventType::click(),
        user_id: "u".into(),
        item_id: "i".into(),
        value: None,
        request_id: None,
        position: None,
        surface: None,
        timestamp: 1,
    }
}

fn store(path: &Path) -> (EmbeddedStore, SmallDisk) {
    let disk = SmallDisk::default();
    let opener = Opener {
        path: path.join("store.redb"),
        options: EmbeddedOptions::default(),
        disk: Box::new(disk.clone()),
    };
    (EmbeddedStore::open_with(opener).unwrap(), disk)
}

fn assert_full<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(m) if m.contains("no room left")), "{error}");
}

#[tokio::test]
async fn writes_fail_atomically_and_resume_with_space() {
    let dir = tempfile::tempdir().unwrap();
    let (store, disk) = store(dir.path());
    store.put_items(vec![item("before")]).await.unwrap();
    store.append_events(vec![click("1")]).await.unwrap();

    for _ in 0..3 {
        disk.full.store(true, Ordering::SeqCst);
        assert_full(store.put_items((0..100).map(|n| item(&format!("no{n}"))).collect()).await);
        assert_full(store.append_events(vec![click("2")]).await);
        assert_full(store.append_events(vec![click("2")]).await);

        disk.full.store(false, Ordering::SeqCst);
        assert_eq!(store.item_count().await.unwrap(), 1);
        let ids = ["before".into(), "no0".into()];
        let found = store.items(&ids).await.unwrap();
        assert!(found[0].is_some() && found[1].is_none());
        assert_eq!(store.item_stats(&["i".into()]).await.unwrap()[0].clicks, 1);
    }
    assert_eq!(store.append_events(vec![click("1"), click("2")]).await.unwrap(), [false, true]);
    store.put_items(vec![item("after")]).await.unwrap();
    drop(store);

    let again = EmbeddedStore::open(&dir.path().join("store.redb"), EmbeddedOptions::default());
    let again = again.unwrap();
    assert_eq!(again.item_count().await.unwrap(), 2);
    assert_eq!(again.item_stats(&["i".into()]).await.unwrap()[0].clicks, 2);
}

#[tokio::test]
async fn cached_vectors_on_a_full_disk_do_not_break_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (store, disk) = store(dir.path());
    store.append_events(vec![click("1")]).await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    let space = VectorSpace::Modal("1".into());
    for number in 0..200_u8 {
        // Fails once they must be synced; may succeed before.
        let _either = store.put_vectors(&space, vec![(vec![number], vec![0; 4096])]).await;
    }
    disk.full.store(false, Ordering::SeqCst);
    assert_eq!(store.append_events(vec![click("1"), click("2")]).await.unwrap(), [false, true]);
    store.put_vectors(&space, vec![(vec![1], vec![7])]).await.unwrap();
    assert_eq!(store.vectors(&space, &[vec![1]]).await.unwrap(), [Some(vec![7])]);
}
