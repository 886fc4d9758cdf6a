use super::*;
use crate::row::content_of;

fn layout(dtype: Dtype) -> ItemRecordLayout {
    let part = |name: &str, offset, dim| RecordPart { name: name.into(), offset, dim };
    ItemRecordLayout {
        parts: vec![part("a", 0, 2), part("b", 2, 1)],
        dim: 3,
        dtype,
        vector: Some(0),
    }
}

fn bytes(values: [f32; 3]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn put(table: &RecordTable, item: ItemIndex, content: Content, values: [f32; 3]) {
    table.put([NewRecord { item, content, record: &bytes(values) }]);
}

#[test]
fn a_changed_item_does_not_get_its_old_record() {
    let table = RecordTable::new(layout(Dtype::F32), 1 << 20);
    let (old, new) = (content_of(&[1; 32]), content_of(&[2; 32]));
    put(&table, 5, old, [1.0, 2.0, 3.0]);
    let view = table.view();
    let row = view.of_content(5, old).unwrap();
    assert_eq!(row.bytes(), bytes([1.0, 2.0, 3.0]));
    assert_eq!(row.part(&table.layout().parts[1]), RecordElements::F32(&[3.0]));
    assert!(view.of_content(5, new).is_none());
    assert_eq!(view.get(5).unwrap().content(), old, "the last known content");
    put(&table, 5, new, [4.0, 5.0, 6.0]);
    assert!(view.of_content(5, old).is_some(), "an existing view does not change");
    assert!(table.view().of_content(5, new).is_some());
    table.forget(&[5, 6]);
    assert!(table.view().get(5).is_none());
    assert!(table.view().of_content(9, None).is_none());
}

#[test]
fn half_precision_records_are_stored() {
    let table = RecordTable::new(layout(Dtype::F16), 1 << 20);
    let record: Vec<u8> =
        [1.5f32, -2.0, 0.25].iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
    table.put([NewRecord { item: 0, content: content_of(&[1; 32]), record: &record }]);
    let view = table.view();
    let mut read = Vec::new();
    view.get(0).unwrap().part(&table.layout().parts[0]).append_to(&mut read);
    assert_eq!(read, [1.5, -2.0]);
    table.put([NewRecord { item: 1, content: None, record: &record[1..] }]);
    assert!(table.view().get(1).is_none(), "a record of the wrong length");
}

#[test]
fn recently_read_records_are_not_evicted() {
    let table = RecordTable::new(layout(Dtype::F32), 0);
    let capacity = table.capacity() as u32;
    let content = content_of(&[1; 32]);
    for item in 0..capacity {
        put(&table, item, content, [item as f32; 3]);
    }
    assert_eq!(table.evicted(), 0);
    put(&table, capacity, content, [0.0; 3]);
    // From now on reads are recorded: these items are in use.
    let hot = [3, 4, 5];
    for item in capacity + 1..capacity * 3 {
        let view = table.view();
        hot.iter().for_each(|item| assert!(view.get(*item).is_some(), "{item} is in use"));
        put(&table, item, content, [item as f32; 3]);
    }
    assert_eq!(u64::from(capacity * 2), table.evicted());
    let view = table.view();
    let held = (0..capacity * 3).filter(|item| view.get(*item).is_some());
    assert_eq!(held.count() as u32, capacity);
    for item in (0..capacity * 3).filter(|item| !hot.contains(item)) {
        if let Some(row) = view.get(item).filter(|_| item != capacity) {
            assert_eq!(row.bytes(), bytes([item as f32; 3]), "a row belongs to its item");
        }
    }
}
