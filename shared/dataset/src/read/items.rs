//! `items.parquet`.

use std::path::Path;

use plugrank_contract::{FeatureValues, Item, ItemId};

use super::{
    Opened, Rules,
    batches::Row,
    cells::Cells,
    kind::{ColumnKind, Want},
    repeats::Repeats,
    table::{Slice, Table},
    values::Values,
};
use crate::{
    DatasetError, DatasetItem, DatasetRule,
    faults::Faults,
    names::{AVAILABLE, CATEGORIES, CREATED_AT, IMAGE, ITEM_ID, TEXT, TITLE},
};

const COLUMNS: [Want; 7] = [
    Want { column: ITEM_ID, kind: ColumnKind::Text, required: true },
    Want { column: TITLE, kind: ColumnKind::Text, required: true },
    Want { column: TEXT, kind: ColumnKind::Text, required: true },
    Want { column: CATEGORIES, kind: ColumnKind::TextList, required: true },
    Want { column: IMAGE, kind: ColumnKind::Text, required: false },
    Want { column: CREATED_AT, kind: ColumnKind::Time, required: false },
    Want { column: AVAILABLE, kind: ColumnKind::Flag, required: false },
];

pub(crate) fn items(path: &Path, rules: Rules) -> Opened<DatasetItem> {
    let table = Table::open(path, &COLUMNS)?;
    let (features, ignored) = table.further(&COLUMNS);
    let known = COLUMNS.map(|want| want.column);
    let columns: Vec<&str> = known.into_iter().chain(features.iter().map(String::as_str)).collect();
    let mut repeats = Repeats::default();
    let read = features.clone();
    table.batches(&columns, ignored, move |slice| decode(slice, rules, &read, &mut repeats))
}

fn decode(
    slice: &Slice<'_>,
    rules: Rules,
    features: &[String],
    repeats: &mut Repeats,
) -> Result<Vec<Row<DatasetItem>>, DatasetError> {
    let ids = slice.cells(ITEM_ID, ColumnKind::Text)?;
    let titles = slice.cells(TITLE, ColumnKind::Text)?;
    let texts = slice.cells(TEXT, ColumnKind::Text)?;
    let categories = slice.cells(CATEGORIES, ColumnKind::TextList)?;
    let images = slice.optional(IMAGE, ColumnKind::Text)?;
    let created = slice.optional(CREATED_AT, ColumnKind::Time)?;
    let available = slice.optional(AVAILABLE, ColumnKind::Flag)?;
    let features = slice.features(features)?;
    let mut row_of = |row: usize| {
        let mut faults = Faults::default();
        let id = faults.keep(unique(&ids, row, ItemId::MAX_BYTES, repeats, "an item"));
        let created =
            created.as_ref().map_or(Ok(None), |cells| cells.time(row, rules.milliseconds));
        let created = faults.keep(created);
        let available = available.as_ref().map_or(Ok(None), |cells| cells.flag(row));
        let available = faults.keep(available).flatten().unwrap_or(true);
        let features = feature_values(&features, row, &mut faults);
        let image = images.as_ref().and_then(|images| images.text(row));
        faults.row(id.zip(created).map(|(id, created_at)| DatasetItem {
            item: Item {
                item_id: ItemId::from(id),
                title: titles.text(row).unwrap_or_default().to_owned(),
                text: texts.text(row).unwrap_or_default().to_owned(),
                categories: categories.texts(row),
                created_at,
                available,
                image_hash: None,
                features,
            },
            image: image.filter(|image| !image.is_empty()).map(str::to_owned),
        }))
    };
    Ok((0..slice.rows()).map(&mut row_of).collect())
}

/// An id that no row before had; `what` names its owner.
pub(super) fn unique<'c>(
    ids: &'c Cells<'_>,
    row: usize,
    max_bytes: usize,
    repeats: &mut Repeats,
    what: &str,
) -> Result<&'c str, DatasetError> {
    let id = ids.id(row, max_bytes)?;
    if repeats.is_new(id) {
        return Ok(id);
    }
    Err(ids.wrong(row, DatasetRule::Repeated, format!("`{id}` comes twice; keep one row {what}")))
}

/// The features of a row; a null is a feature the row does not have.
pub(super) fn feature_values(
    features: &[(&str, Values<'_>)],
    row: usize,
    faults: &mut Faults,
) -> FeatureValues {
    let mut values = FeatureValues::new();
    for (name, cells) in features {
        if let Some(value) = faults.keep(cells.value(row)).flatten() {
            values.insert((*name).to_owned(), value);
        }
    }
    values
}
