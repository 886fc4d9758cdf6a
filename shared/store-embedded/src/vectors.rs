//! Cached vectors: one table per space, so that spaces never mix.

use plugrank_store::VectorSpace;
use redb::{ReadTransaction, TableDefinition, TableError, WriteTransaction};

use crate::error::Failure;

/// How the names of these tables begin.
pub(crate) const PREFIX: &str = "vectors/";

fn table_name(space: &VectorSpace) -> String {
    match space {
        VectorSpace::Modal(version) => format!("vectors/modal/{version}"),
        VectorSpace::Record(version) => format!("vectors/record/{version}"),
    }
}

pub(crate) fn put(
    txn: &WriteTransaction,
    space: &VectorSpace,
    entries: &[(Vec<u8>, Vec<u8>)],
) -> Result<(), Failure> {
    let name = table_name(space);
    let mut table = txn.open_table(TableDefinition::<&[u8], &[u8]>::new(&name))?;
    for (key, vector) in entries {
        table.insert(key.as_slice(), vector.as_slice())?;
    }
    Ok(())
}

pub(crate) fn get(
    txn: &ReadTransaction,
    space: &VectorSpace,
    keys: &[Vec<u8>],
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let name = table_name(space);
    let table = match txn.open_table(TableDefinition::<&[u8], &[u8]>::new(&name)) {
        Ok(table) => table,
        // Nothing was written to this space yet.
        Err(TableError::TableDoesNotExist(_)) => return Ok(vec![None; keys.len()]),
        Err(error) => return Err(error.into()),
    };
    keys.iter()
        .map(|key| Ok(table.get(key.as_slice())?.map(|value| value.value().to_vec())))
        .collect()
}
