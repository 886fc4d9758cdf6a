//! Where records go that were read from the store or encoded.

use std::sync::Arc;

use plugrank_contract::ItemIndex;
use plugrank_items::{Content, ItemTable, NewRecord, RecordTable};

use crate::record_set::Record;

/// A record for the in-process tier.
pub(crate) struct MadeRecord {
    pub(crate) item: ItemIndex,
    /// Content of the item's row when the record was asked for.
    pub(crate) asked: Content,
    /// Content that the record was made from: newer than `asked` when the store was ahead of the table.
    pub(crate) content: Content,
    pub(crate) record: Record,
}

/// Puts records into the record table, unless the item's content has changed meanwhile.
pub(crate) struct TableWriter {
    pub(crate) items: Arc<ItemTable>,
    pub(crate) records: Arc<RecordTable>,
}

impl TableWriter {
    /// Keeps records; readers see all of them at once.
    pub(crate) fn put(&self, made: &[MadeRecord]) {
        if made.is_empty() {
            return;
        }
        let items = self.items.view();
        let current = |made: &&MadeRecord| {
            let now = items.content(made.item);
            now.is_some() && (now == made.content || now == made.asked)
        };
        let new = |made: &MadeRecord| (made.item, made.content, Arc::clone(&made.record));
        let new: Vec<_> = made.iter().filter(current).map(new).collect();
        if new.is_empty() {
            return;
        }
        self.records.put(new.iter().map(|(item, content, record)| NewRecord {
            item: *item,
            content: *content,
            record,
        }));
    }

    /// The record of an item, if one of this content is kept.
    pub(crate) fn find(&self, item: ItemIndex, content: Content) -> Option<Record> {
        self.records.view().of_content(item, content).map(|row| Record::from(row.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use plugrank_bundle::{ItemRecordLayout, record::RecordPart};
    use plugrank_contract::{Dtype, Item, ItemId};
    use plugrank_items::content_of;
    use plugrank_store::ItemStats;

    use super::*;

    fn item() -> Item {
        Item {
            item_id: ItemId::from("i1"),
            title: String::new(),
            text: String::new(),
            categories: Vec::new(),
            created_at: None,
            available: true,
            image_hash: None,
            features: BTreeMap::new(),
        }
    }

    #[test]
    fn a_record_of_an_item_that_changed_meanwhile_is_not_written() {
        let part = RecordPart { name: "a".into(), offset: 0, dim: 1 };
        let layout =
            ItemRecordLayout { parts: vec![part], dim: 1, dtype: Dtype::F32, vector: Some(0) };
        let records = RecordTable::new(layout, 1 << 16);
        let table = TableWriter { items: ItemTable::new(), records };
        let content = |version: u8| content_of(&[version; 32]);
        let write =
            |version: u8| table.items.put([(&item(), &[version; 32], ItemStats::default())])[0];
        let put = |item, asked: u8, made: u8| {
            let record = Record::from(vec![made; 4]);
            table.put(&[MadeRecord {
                item,
                asked: content(asked),
                content: content(made),
                record,
            }]);
        };
        let kept = |item| table.records.view().get(item).and_then(|row| row.content());
        let index = write(1);
        put(index, 1, 1);
        assert_eq!(kept(index), content(1));
        assert!(table.find(index, content(1)).is_some() && table.find(index, content(2)).is_none());
        write(3);
        put(index, 1, 2);
        assert_eq!(kept(index), content(1), "it has changed since it was asked for");
        put(index, 3, 4);
        assert_eq!(kept(index), content(4), "the store is ahead of the table");
        table.items.remove([&ItemId::from("i1")]);
        put(index, 3, 3);
        assert_eq!(kept(index), content(4), "it is no longer there");
    }
}
