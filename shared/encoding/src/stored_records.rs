//! Records that the store has of the item table's contents, read into the record table.

use std::{
    num::NonZero,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use futures::{StreamExt, TryStreamExt, stream};
use plugrank_contract::ItemIndex;
use plugrank_items::{Availability, Content, ItemTable, NewRecord, RecordTable};
use plugrank_store::{Store, VectorPage, VectorSpace};

use crate::{
    error::EncodingError,
    record_key::{record_key, split_record_key},
};

/// Records of a page that is scanned.
const SCANNED: usize = 4_096;
/// Parts of a scan: several are read at a time, and some are longer than others.
const PARTS: usize = 32;
/// Most parts that are read at a time.
const MOST_READERS: usize = 8;
/// Items whose records are looked up at a time.
const LOOKED_UP: usize = 1_024;
/// Look-ups under way at a time.
const LOOK_UPS: usize = 4;

/// Reads records. The rows are of the contents that the table has of its items; what the store has of other
/// contents, or of items that are gone, is passed over.
pub(crate) struct StoredRecords<'a> {
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) space: &'a VectorSpace,
    pub(crate) items: &'a Arc<ItemTable>,
    pub(crate) keeper: Arc<Keeper>,
}

/// Puts records into the record table for as long as it has room, so that none gives way to another.
pub(crate) struct Keeper {
    items: Arc<ItemTable>,
    records: Arc<RecordTable>,
    room: AtomicUsize,
}

/// A record in a page that was read.
type ReadRecord<'a> = (ItemIndex, Content, &'a [u8]);

impl Keeper {
    pub(crate) fn new(items: Arc<ItemTable>, records: Arc<RecordTable>) -> Arc<Self> {
        let room = AtomicUsize::new(records.capacity());
        Arc::new(Self { items, records, room })
    }

    /// Takes as much of the room as there is for so many records; for how many.
    pub(crate) fn take_room(&self, wanted: usize) -> usize {
        let left = |room: usize| Some(room.saturating_sub(wanted));
        let room = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        room.unwrap_or_default().min(wanted)
    }

    /// Keeps the records of the right length; which items they are of.
    fn keep<'a>(&self, read: impl Iterator<Item = ReadRecord<'a>>) -> Vec<ItemIndex> {
        let bytes = self.records.layout().bytes();
        let read: Vec<_> = read.filter(|(.., record)| record.len() == bytes).collect();
        let room = self.take_room(read.len());
        let new = |&(item, content, record): &ReadRecord<'a>| NewRecord { item, content, record };
        if room > 0 {
            self.records.put(read[..room].iter().map(new));
        }
        read.iter().map(|(item, ..)| *item).collect()
    }

    fn keep_page(&self, page: &VectorPage) -> Vec<ItemIndex> {
        let view = self.items.view();
        self.keep(page.iter().filter_map(|(key, record)| {
            let (id, content) = split_record_key(key)?;
            let item = view.index_of(id)?;
            (content.is_some() && view.content(item) == content).then_some((item, content, record))
        }))
    }
}

impl StoredRecords<'_> {
    /// Reads the record of every item that has one. `found` is told of the items, part by part.
    pub(crate) async fn read(
        &self,
        found: &mut (dyn FnMut(&[ItemIndex]) + Send),
    ) -> Result<(), EncodingError> {
        if !self.scan(found).await? {
            self.look_up(found).await?;
        }
        Ok(())
    }

    /// Reads the whole space from one end to the other, in several parts; `false` where the store cannot.
    async fn scan(
        &self,
        found: &mut (dyn FnMut(&[ItemIndex]) + Send),
    ) -> Result<bool, EncodingError> {
        let mut borders = self.borders();
        borders.insert(0, Vec::new());
        let ends = borders.iter().skip(1).cloned().map(Some).chain([None]).collect::<Vec<_>>();
        let parts = borders.into_iter().zip(ends);
        let pages = parts.map(|(from, to)| Box::pin(self.part(from, to)));
        let mut pages = pin!(stream::iter(pages).flatten_unordered(readers()));
        while let Some(page) = pages.try_next().await? {
            let Some(items) = page else { return Ok(false) };
            found(&items);
        }
        Ok(true)
    }

    /// Keys that cut the records into parts of about the same size.
    fn borders(&self) -> Vec<Vec<u8>> {
        let view = self.items.view();
        let end = view.index_end();
        let step = (end / PARTS as ItemIndex).max(SCANNED as ItemIndex);
        let indices = (step..end).step_by(step as usize);
        let mut borders: Vec<Vec<u8>> =
            indices.filter_map(|index| Some(view.id(index)?.as_str().into())).collect();
        borders.sort_unstable();
        borders.dedup();
        borders
    }

    /// Reads the records from a key on and before another; `None` where the store cannot.
    fn part(
        &self,
        from: Vec<u8>,
        to: Option<Vec<u8>>,
    ) -> impl stream::Stream<Item = Result<Option<Vec<ItemIndex>>, EncodingError>> {
        let to = Arc::new(to);
        stream::try_unfold(Some(from), move |from| {
            let to = Arc::clone(&to);
            async move {
                let Some(from) = from else { return Ok(None) };
                let read = self.store.scan_vectors(self.space, &from, to.as_deref(), SCANNED);
                let Some(mut page) = read.await? else { return Ok(Some((None, None))) };
                let next = page.next.take();
                let keeper = Arc::clone(&self.keeper);
                let keep = move || plugrank_background::beside(|| keeper.keep_page(&page));
                let kept = tokio::task::spawn_blocking(keep).await;
                let kept = kept.map_err(|error| EncodingError::Encode(error.to_string()))?;
                Ok(Some((Some(kept), next)))
            }
        })
    }

    /// Looks up the record of each item by its key.
    async fn look_up(
        &self,
        found: &mut (dyn FnMut(&[ItemIndex]) + Send),
    ) -> Result<(), EncodingError> {
        let end = self.items.view().index_end();
        let starts = (0..end).step_by(LOOKED_UP);
        let parts = starts.map(|start| self.look_up_part(start, end));
        let mut parts = pin!(stream::iter(parts).buffer_unordered(LOOK_UPS));
        while let Some(items) = parts.try_next().await? {
            found(&items);
        }
        Ok(())
    }

    async fn look_up_part(
        &self,
        start: ItemIndex,
        end: ItemIndex,
    ) -> Result<Vec<ItemIndex>, EncodingError> {
        let (asked, keys): (Vec<(ItemIndex, Content)>, Vec<Vec<u8>>) = {
            let view = self.items.view();
            let part = start..end.min(start + LOOKED_UP as ItemIndex);
            let there = part.filter(|item| view.availability(*item) != Availability::Removed);
            let asked = |item| {
                let content = view.content(item);
                Some(((item, content), record_key(view.id(item)?, content)))
            };
            there.filter_map(asked).unzip()
        };
        let read = self.store.vectors(self.space, &keys).await?;
        let read = asked.iter().zip(&read);
        Ok(self.keeper.keep(
            read.filter_map(|((item, content), record)| {
                Some((*item, *content, &**record.as_ref()?))
            }),
        ))
    }
}

/// Parts that are read at a time: one core is left to who warms graphs beside.
fn readers() -> usize {
    let cores = available_parallelism().map_or(1, NonZero::get);
    cores.saturating_sub(1).clamp(1, MOST_READERS)
}
