//! Item records of one bundle, in rows.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use bytemuck::{cast_slice, cast_slice_mut};
use half::f16;
use parking_lot::Mutex;
use plugrank_bundle::{ItemRecordLayout, record::RecordPart};
use plugrank_contract::{Dtype, ItemIndex};

use crate::{
    pages::{Pages, PagesMut},
    row::Content,
};

/// Rows of a page.
const PAGE_ROWS: usize = 32;
/// Slots of a page of the map from items to rows.
const PAGE_SLOTS: usize = 1_024;

/// The records of one bundle for as many items as the memory given holds. When it is full, rows that
/// were not read for the longest give way (the clock algorithm).
///
/// ```
/// use plugrank_bundle::{ItemRecordLayout, record::RecordPart};
/// use plugrank_contract::Dtype;
/// use plugrank_items::{NewRecord, RecordElements, RecordTable, content_of};
///
/// let vector = RecordPart { name: "item_vector".to_owned(), offset: 0, dim: 2 };
/// let layout = ItemRecordLayout {
///     parts: vec![vector.clone()],
///     dim: 2,
///     dtype: Dtype::F32,
///     vector: Some(0),
/// };
/// let table = RecordTable::new(layout, 1 << 20);
/// let content = content_of(&[7; 32]);
/// let record: Vec<u8> = [0.5_f32, -1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
/// table.put([NewRecord { item: 3, content, record: &record }]);
///
/// let view = table.view();
/// let row = view.of_content(3, content).unwrap();
/// assert_eq!(row.bytes(), record);
/// assert_eq!(row.part(&vector), RecordElements::F32(&[0.5, -1.0]));
/// // The item has changed since: its record is not that of the content now.
/// assert!(view.of_content(3, content_of(&[8; 32])).is_none());
/// ```
#[derive(Debug)]
pub struct RecordTable {
    layout: Arc<ItemRecordLayout>,
    /// 64-bit words of a row.
    stride: usize,
    capacity: usize,
    published: ArcSwap<Records>,
    writer: Mutex<Writer>,
    clock: Arc<Clock>,
    evicted: AtomicU64,
}

/// Which rows were read lately. It is not noted while there is room for all.
#[derive(Debug)]
struct Clock {
    full: AtomicBool,
    read: Box<[AtomicU8]>,
}

/// A page of rows.
#[derive(Clone, Debug, Default)]
struct RowPage(Vec<u64>);

/// Slots of items.
#[derive(Clone, Debug, Default)]
struct SlotPage(Vec<Slot>);

/// Where the record of an item is. The content stands here and not in the row, so that who only asks
/// whether a record is current does not fetch the row into its cache.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Version of the content that the record was made from.
    content: Content,
    /// 0 for none, else one more than the row's number.
    row: u32,
}

impl Slot {
    fn row(self) -> Option<usize> {
        (self.row as usize).checked_sub(1)
    }
}

#[derive(Debug, Default)]
struct Writer {
    slots: PagesMut<SlotPage>,
    rows: PagesMut<RowPage>,
    /// The item of each row.
    owners: Vec<ItemIndex>,
    free: Vec<u32>,
    hand: usize,
}

/// A record to be kept.
///
/// [`RecordTable`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Whose.
    pub item: ItemIndex,
    /// Version of the content it was made from.
    pub content: Content,
    /// The outputs of the bundle's `item_encoder`, little-endian, one after another.
    pub record: &'a [u8],
}

impl RecordTable {
    /// A table of at most `bytes` for records of this layout, at least one page of them.
    #[must_use]
    pub fn new(layout: ItemRecordLayout, bytes: u64) -> Arc<Self> {
        let stride = layout.bytes().div_ceil(size_of::<u64>());
        // A row, its slot, its owner and its mark.
        let row_bytes = (stride * 8 + size_of::<Slot>() + 5) as u64;
        let capacity = usize::try_from(bytes / row_bytes).unwrap_or(usize::MAX);
        let capacity = capacity.clamp(PAGE_ROWS, u32::MAX as usize - 1);
        let read = (0..capacity).map(|_| AtomicU8::new(0)).collect();
        let clock = Arc::new(Clock { full: AtomicBool::new(false), read });
        let layout = Arc::new(layout);
        let published = Records {
            layout: Arc::clone(&layout),
            stride,
            slots: Pages::default(),
            rows: Pages::default(),
            clock: Arc::clone(&clock),
        };
        Arc::new(Self {
            layout,
            stride,
            capacity,
            published: ArcSwap::from_pointee(published),
            writer: Mutex::default(),
            clock,
            evicted: AtomicU64::new(0),
        })
    }

    /// What a record consists of.
    #[must_use]
    pub fn layout(&self) -> &ItemRecordLayout {
        &self.layout
    }

    /// The rows as they are now. Take one a request.
    #[must_use]
    pub fn view(&self) -> Arc<Records> {
        self.published.load_full()
    }

    /// Most rows it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes of the rows it holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let writer = self.writer.lock();
        ((writer.owners.len() - writer.free.len()) * self.stride * 8) as u64
    }

    /// Rows that gave way to others since the start.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Keeps records; those of the wrong length are left out. Readers see all of them at once.
    pub fn put<'a>(&self, records: impl IntoIterator<Item = NewRecord<'a>>) {
        let mut writer = self.writer.lock();
        for new in records {
            if new.record.len() != self.layout.bytes() {
                continue;
            }
            let row = self.row_for(&mut writer, new.item);
            writer.set_slot(new.item, new.content, Some(row));
            let stride = self.stride;
            let page = &mut writer.rows.page_mut(row / PAGE_ROWS).0;
            page.resize(PAGE_ROWS * stride, 0);
            let words = &mut page[row % PAGE_ROWS * stride..][..stride];
            cast_slice_mut(words)[..new.record.len()].copy_from_slice(new.record);
        }
        self.publish(&mut writer);
    }

    /// Forgets the records of items.
    pub fn forget(&self, items: &[ItemIndex]) {
        let mut writer = self.writer.lock();
        for item in items {
            if let Some(row) = writer.row(*item) {
                writer.set_slot(*item, None, None);
                writer.free.push(row as u32);
            }
        }
        self.publish(&mut writer);
    }

    fn row_for(&self, writer: &mut Writer, item: ItemIndex) -> usize {
        if let Some(row) = writer.row(item) {
            return row;
        }
        let row = match writer.free.pop() {
            Some(row) => row as usize,
            None if writer.owners.len() < self.capacity => {
                writer.owners.push(item);
                writer.owners.len() - 1
            }
            None => self.evict(writer),
        };
        writer.owners[row] = item;
        row
    }

    /// Frees the row of an item that was not read since the hand last came by.
    fn evict(&self, writer: &mut Writer) -> usize {
        self.clock.full.store(true, Ordering::Relaxed);
        loop {
            let row = writer.hand;
            writer.hand = (writer.hand + 1) % self.capacity;
            if self.clock.read[row].swap(0, Ordering::Relaxed) == 0 {
                let owner = writer.owners[row];
                writer.set_slot(owner, None, None);
                self.evicted.fetch_add(1, Ordering::Relaxed);
                return row;
            }
        }
    }

    fn publish(&self, writer: &mut Writer) {
        self.published.store(Arc::new(Records {
            layout: Arc::clone(&self.layout),
            stride: self.stride,
            slots: writer.slots.publish(),
            rows: writer.rows.publish(),
            clock: Arc::clone(&self.clock),
        }));
    }
}

impl Writer {
    fn row(&self, item: ItemIndex) -> Option<usize> {
        let page = self.slots.get(item as usize / PAGE_SLOTS)?;
        page.0.get(item as usize % PAGE_SLOTS)?.row()
    }

    fn set_slot(&mut self, item: ItemIndex, content: Content, row: Option<usize>) {
        let page = &mut self.slots.page_mut(item as usize / PAGE_SLOTS).0;
        page.resize(PAGE_SLOTS, Slot::default());
        let row = row.map_or(0, |row| row as u32 + 1);
        page[item as usize % PAGE_SLOTS] = Slot { content, row };
    }
}

/// The rows of a [`RecordTable`] as one reader sees them: they do not change.
///
/// [`RecordTable`] has an example.
#[derive(Clone, Debug)]
pub struct Records {
    layout: Arc<ItemRecordLayout>,
    stride: usize,
    slots: Pages<SlotPage>,
    rows: Pages<RowPage>,
    clock: Arc<Clock>,
}

impl Records {
    /// What a record consists of.
    #[must_use]
    pub fn layout(&self) -> &ItemRecordLayout {
        &self.layout
    }

    /// The record of an item, of any content version.
    #[must_use]
    pub fn get(&self, item: ItemIndex) -> Option<RecordRow<'_>> {
        let page = self.slots.get(item as usize / PAGE_SLOTS)?;
        let slot = *page.0.get(item as usize % PAGE_SLOTS)?;
        let row = slot.row()?;
        if self.clock.full.load(Ordering::Relaxed) {
            let mark = self.clock.read.get(row)?;
            if mark.load(Ordering::Relaxed) == 0 {
                mark.store(1, Ordering::Relaxed);
            }
        }
        let page = self.rows.get(row / PAGE_ROWS)?;
        let words = page.0.get(row % PAGE_ROWS * self.stride..)?.get(..self.stride)?;
        Some(RecordRow { layout: &self.layout, content: slot.content, words })
    }

    /// The record of an item, if it was made from this content.
    #[must_use]
    pub fn of_content(&self, item: ItemIndex, content: Content) -> Option<RecordRow<'_>> {
        self.get(item).filter(|row| content.is_some() && row.content() == content)
    }
}

/// One record.
///
/// [`RecordTable`] has an example.
#[derive(Clone, Copy, Debug)]
pub struct RecordRow<'a> {
    layout: &'a ItemRecordLayout,
    content: Content,
    words: &'a [u64],
}

impl<'a> RecordRow<'a> {
    /// Version of the content it was made from.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// The record's bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        &cast_slice(self.words)[..self.layout.bytes()]
    }

    /// A part's elements.
    #[must_use]
    pub fn part(&self, part: &RecordPart) -> RecordElements<'a> {
        let words = self.words;
        let range = part.offset..part.offset + part.dim;
        match self.layout.dtype {
            Dtype::F16 => RecordElements::F16(&cast_slice(words)[range]),
            Dtype::F32 => RecordElements::F32(&cast_slice(words)[range]),
        }
    }
}

/// Elements of a part of a record.
///
/// [`RecordTable`] has an example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RecordElements<'a> {
    /// Half precision.
    F16(&'a [f16]),
    /// Single precision.
    F32(&'a [f32]),
}

impl RecordElements<'_> {
    /// Appends the elements as f32.
    pub fn append_to(&self, to: &mut Vec<f32>) {
        match self {
            Self::F16(elements) => to.extend(elements.iter().map(|x| x.to_f32())),
            Self::F32(elements) => to.extend_from_slice(elements),
        }
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
