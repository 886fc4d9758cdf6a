//! Documents.

use plugrank_store::Document;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use crate::error::Failure;

/// Name to revision and bytes.
pub(crate) const DOCUMENTS: TableDefinition<&str, (u64, &[u8])> = TableDefinition::new("documents");

/// The document of a name. A store that has never had one has no table of them.
pub(crate) fn get(txn: &ReadTransaction, name: &str) -> Result<Option<Document>, Failure> {
    let table = match txn.open_table(DOCUMENTS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = table.get(name)?;
    Ok(found.map(|value| {
        let (revision, bytes) = value.value();
        Document { bytes: bytes.to_vec(), revision }
    }))
}

/// Writes a document whose revision is `expected` (0: there is none yet); its new revision, or `None`
/// where it has another.
pub(crate) fn put(
    txn: &WriteTransaction,
    name: &str,
    bytes: &[u8],
    expected: u64,
) -> Result<Option<u64>, Failure> {
    let mut table = txn.open_table(DOCUMENTS)?;
    let revision = table.get(name)?.map_or(0, |value| value.value().0);
    if revision != expected {
        return Ok(None);
    }
    table.insert(name, (revision + 1, bytes))?;
    Ok(Some(revision + 1))
}
