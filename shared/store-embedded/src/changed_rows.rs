//! Rows are written only where they differ from what is there.
//!
//! A page that is written again needs room beside the old one until the transaction has ended, so a load
//! that is repeated would double the file to change nothing.

use redb::{ReadableTable, Table};

use crate::error::Failure;

/// Writes a row that is new or another than before; whether there was one of its key.
pub(crate) fn insert_changed(
    table: &mut Table<'_, &str, &[u8]>,
    key: &str,
    value: &[u8],
) -> Result<bool, Failure> {
    let known = table.get(key)?.map(|found| found.value() == value);
    if known != Some(true) {
        table.insert(key, value)?;
    }
    Ok(known.is_some())
}
