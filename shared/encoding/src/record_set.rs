//! The item records of one request.

use std::{ops::Range, sync::Arc};

use plugrank_bundle::ItemRecordLayout;
use plugrank_contract::{ItemIndex, Matrix, MatrixError, embedding::RecordOrigin};
use plugrank_items::Records;

/// An item record's bytes, as `item_encoder` made them.
pub(crate) type Record = Arc<[u8]>;

/// How many records came from where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OriginCounts {
    /// In-process tier.
    pub memory: u32,
    /// The store.
    pub store: u32,
    /// Encoded for this request.
    pub encoded: u32,
    /// Missing records: not reached in time, or not in the catalog.
    pub missing: u32,
}

impl OriginCounts {
    pub(crate) fn add(&mut self, origin: RecordOrigin) {
        *match origin {
            RecordOrigin::Memory => &mut self.memory,
            RecordOrigin::Store => &mut self.store,
            RecordOrigin::Encoded => &mut self.encoded,
            RecordOrigin::Missing => &mut self.missing,
        } += 1;
    }
}

/// The records of the items of one request, in their order. Most are rows of the record table as it
/// was when they were asked for; they are not copied.
#[derive(Debug)]
pub struct RecordSet {
    items: Arc<[ItemIndex]>,
    rows: Rows,
    /// How many records came from where.
    pub origins: OriginCounts,
    /// Why some could not be read in time; `None` when all were.
    pub late: Option<String>,
    /// Whether some of them will be others in a moment: missing records of items of the catalog,
    /// rows of an earlier content, the missing record of another item.
    pub(crate) provisional: bool,
}

#[derive(Debug)]
enum Rows {
    /// Rows of the table, but for `others`, which are sorted by their position.
    Table { records: Arc<Records>, others: Vec<OtherRecord> },
    /// The answer of the embedding role.
    Block { records: Matrix, origins: Vec<RecordOrigin> },
}

/// A record that is not in the table's view.
#[derive(Debug)]
pub(crate) struct OtherRecord {
    pub(crate) position: u32,
    pub(crate) origin: RecordOrigin,
    pub(crate) record: Record,
}

impl RecordSet {
    /// Rows of the table, all of them for now.
    pub(crate) fn of_table(items: Arc<[ItemIndex]>, records: Arc<Records>) -> Self {
        let rows = Rows::Table { records, others: Vec::new() };
        let origins = OriginCounts { memory: items.len() as u32, ..OriginCounts::default() };
        Self { items, rows, origins, late: None, provisional: false }
    }

    /// The same, with records that the table's view does not have, sorted by their position.
    pub(crate) fn with_others(mut self, found: Vec<OtherRecord>) -> Self {
        self.origins.memory -= found.len() as u32;
        found.iter().for_each(|other| self.origins.add(other.origin));
        if let Rows::Table { others, .. } = &mut self.rows {
            *others = found;
        }
        self
    }

    /// The answer of the embedding role: a row an item.
    pub(crate) fn of_block(
        items: Arc<[ItemIndex]>,
        records: Matrix,
        origins: Vec<RecordOrigin>,
    ) -> Self {
        let mut counts = OriginCounts::default();
        origins.iter().for_each(|origin| counts.add(*origin));
        let rows = Rows::Block { records, origins };
        Self { items, rows, origins: counts, late: None, provisional: false }
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, by their index in the item table.
    #[must_use]
    pub fn items(&self) -> &Arc<[ItemIndex]> {
        &self.items
    }

    /// One record: the outputs of `item_encoder`, little-endian, one after another.
    ///
    /// # Panics
    /// When `position` is out of range.
    #[must_use]
    pub fn bytes(&self, position: usize) -> &[u8] {
        match self.other(position) {
            Some(other) => &other.record,
            None => self.row(position),
        }
    }

    /// The records of a range of positions, in their order.
    ///
    /// # Panics
    /// When the range ends beyond the last record.
    pub fn rows(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let others = self.others();
        let first = others.partition_point(|other| (other.position as usize) < range.start);
        let mut others = others[first..].iter().peekable();
        range.map(move |position| {
            let here = |other: &&OtherRecord| other.position as usize == position;
            match others.next_if(here) {
                Some(other) => &other.record,
                None => self.row(position),
            }
        })
    }

    /// Where a record came from.
    #[must_use]
    pub fn origin(&self, position: usize) -> RecordOrigin {
        match &self.rows {
            Rows::Table { .. } => {
                self.other(position).map_or(RecordOrigin::Memory, |other| other.origin)
            }
            Rows::Block { origins, .. } => origins[position],
        }
    }

    /// The records as one block, for the wire.
    ///
    /// # Errors
    /// When they are not of this layout.
    pub fn to_matrix(&self, layout: &ItemRecordLayout) -> Result<Matrix, MatrixError> {
        let mut data = Vec::with_capacity(self.len() * layout.bytes());
        self.rows(0..self.len()).for_each(|record| data.extend_from_slice(record));
        Matrix::new(self.len(), layout.dim, layout.dtype, data)
    }

    fn others(&self) -> &[OtherRecord] {
        match &self.rows {
            Rows::Table { others, .. } => others,
            Rows::Block { .. } => &[],
        }
    }

    fn other(&self, position: usize) -> Option<&OtherRecord> {
        let others = self.others();
        if others.is_empty() {
            return None;
        }
        let at = others.binary_search_by_key(&position, |other| other.position as usize).ok()?;
        Some(&others[at])
    }

    fn row(&self, position: usize) -> &[u8] {
        match &self.rows {
            // A position that is not among the others was found in this very view.
            Rows::Table { records, .. } => {
                records.get(self.items[position]).map_or(&[], |row| row.bytes())
            }
            Rows::Block { records, .. } => records.row(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use plugrank_bundle::record::RecordPart;
    use plugrank_contract::{Dtype, UNKNOWN_ITEM};
    use plugrank_items::{NewRecord, RecordTable, content_of};

    use super::*;

    #[test]
    fn records_come_in_the_order_of_the_items() {
        let part = RecordPart { name: "a".into(), offset: 0, dim: 1 };
        let layout =
            ItemRecordLayout { parts: vec![part], dim: 1, dtype: Dtype::F32, vector: Some(0) };
        let table = RecordTable::new(layout.clone(), 1 << 16);
        let content = content_of(&[1; 32]);
        for item in 0..3u32 {
            table.put([NewRecord { item, content, record: &[item as u8; 4] }]);
        }
        let items: Arc<[ItemIndex]> = [2, UNKNOWN_ITEM, 0, 1, UNKNOWN_ITEM].into();
        let other = |position, origin, byte| OtherRecord {
            position,
            origin,
            record: Record::from(vec![byte; 4]),
        };
        let (missing, encoded) = (RecordOrigin::Missing, RecordOrigin::Encoded);
        let others = vec![other(1, missing, 9), other(3, encoded, 8), other(4, missing, 7)];
        let set = RecordSet::of_table(items, table.view()).with_others(others);
        let expected = [2u8, 9, 0, 8, 7];
        assert!(set.rows(0..5).map(|row| row[0]).eq(expected));
        assert!(set.rows(2..5).map(|row| row[0]).eq(expected[2..].iter().copied()));
        assert!((0..5).map(|at| set.bytes(at)[0]).eq(expected));
        let counts = OriginCounts { memory: 2, store: 0, encoded: 1, missing: 2 };
        assert_eq!(set.origins, counts);
        assert_eq!((set.origin(0), set.origin(3)), (RecordOrigin::Memory, encoded));
        let block = set.to_matrix(&layout).unwrap();
        let origins = (0..5).map(|at| set.origin(at)).collect();
        let set = RecordSet::of_block(Arc::clone(set.items()), block, origins);
        assert!(set.rows(1..5).map(|row| row[0]).eq(expected[1..].iter().copied()));
        assert_eq!(set.origins, counts);
    }
}
