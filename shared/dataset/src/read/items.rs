//! `items.parquet`.

use std::{collections::BTreeMap, path::Path};

use plugrank_contract::{Item, ItemId};

use super::{
    Batches,
    cells::Cells,
    kind::Kind,
    repeats::Repeats,
    table::{Slice, Table},
};
use crate::{
    DatasetError, ItemRow,
    names::{CATEGORIES, CREATED_AT, IMAGE, ITEM_COLUMNS, ITEM_ID, TEXT, TITLE},
};

pub(crate) fn items(path: &Path) -> Result<Batches<ItemRow>, DatasetError> {
    let table = Table::open(path)?;
    table.require(ITEM_ID, Kind::Text)?;
    table.require(TITLE, Kind::Text)?;
    table.require(TEXT, Kind::Text)?;
    table.require(CATEGORIES, Kind::TextList)?;
    table.optional(IMAGE, Kind::Text)?;
    table.optional(CREATED_AT, Kind::Time)?;
    let (features, ignored) = table.further(&ITEM_COLUMNS);
    let columns: Vec<&str> =
        ITEM_COLUMNS.into_iter().chain(features.iter().map(String::as_str)).collect();
    let mut repeats = Repeats::default();
    let read = features.clone();
    table.batches(&columns, ignored, move |slice| decode(slice, &read, &mut repeats))
}

fn decode(
    slice: &Slice<'_>,
    features: &[String],
    repeats: &mut Repeats,
) -> Result<Vec<ItemRow>, DatasetError> {
    let ids = slice.cells(ITEM_ID, Kind::Text)?;
    let titles = slice.cells(TITLE, Kind::Text)?;
    let texts = slice.cells(TEXT, Kind::Text)?;
    let categories = slice.cells(CATEGORIES, Kind::TextList)?;
    let images = slice.optional(IMAGE, Kind::Text)?;
    let created = slice.optional(CREATED_AT, Kind::Time)?;
    let features = feature_cells(slice, features)?;
    (0..slice.rows())
        .map(|row| {
            let id = ids.id(row, ItemId::MAX_BYTES)?;
            if !repeats.is_new(id) {
                return Err(ids.wrong(row, format!("`{id}` comes twice; keep one row an item")));
            }
            let image = images.as_ref().and_then(|images| images.text(row)).map(str::to_owned);
            if image.as_deref() == Some("") {
                return Err(slice.wrong(
                    IMAGE,
                    row,
                    "is empty; write null for an item without an image".to_owned(),
                ));
            }
            let item = Item {
                item_id: ItemId::from(id),
                title: titles.text(row).unwrap_or_default().to_owned(),
                text: texts.text(row).unwrap_or_default().to_owned(),
                categories: categories.texts(row)?,
                created_at: created.as_ref().and_then(|created| created.integer(row)),
                available: true,
                image_hash: None,
                features: feature_values(&features, row),
            };
            Ok(ItemRow { item, image })
        })
        .collect()
}

/// The feature columns of a batch, by name.
pub(super) fn feature_cells<'a, 'n>(
    slice: &Slice<'a>,
    features: &'n [String],
) -> Result<Vec<(&'n str, Cells<'a>)>, DatasetError> {
    features.iter().map(|name| Ok((name.as_str(), slice.cells(name, Kind::Text)?))).collect()
}

/// The features of a row; a null is a feature the row does not have.
pub(super) fn feature_values(
    features: &[(&str, Cells<'_>)],
    row: usize,
) -> BTreeMap<String, String> {
    features
        .iter()
        .filter_map(|(name, cells)| Some(((*name).to_owned(), cells.text(row)?.to_owned())))
        .collect()
}
