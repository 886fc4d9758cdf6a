//! Cached vectors: one table per space, so that spaces never mix.

use std::ops::Bound;

use plugrank_store::{VectorPage, VectorSpace};
use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, TableError, WriteTransaction};

use crate::error::Failure;

/// Vectors of a space by their keys.
type Vectors = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Most vectors of a page that memory is taken for at once.
const ROWS_RESERVED: usize = 8_192;
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

/// The table of a space; `None` before something is written to it.
fn open(txn: &ReadTransaction, space: &VectorSpace) -> Result<Option<Vectors>, Failure> {
    let name = table_name(space);
    match txn.open_table(TableDefinition::new(&name)) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn get(
    txn: &ReadTransaction,
    space: &VectorSpace,
    keys: &[Vec<u8>],
) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let Some(table) = open(txn, space)? else { return Ok(vec![None; keys.len()]) };
    keys.iter()
        .map(|key| Ok(table.get(key.as_slice())?.map(|value| value.value().to_vec())))
        .collect()
}

/// Up to `limit` vectors from a key on and before another.
pub(crate) fn scan(
    txn: &ReadTransaction,
    space: &VectorSpace,
    from: &[u8],
    to: Option<&[u8]>,
    limit: usize,
) -> Result<VectorPage, Failure> {
    let mut page = VectorPage::default();
    let Some(table) = open(txn, space)? else { return Ok(page) };
    if to.is_some_and(|to| to <= from) {
        return Ok(page);
    }
    let end = to.map_or(Bound::Unbounded, Bound::Excluded);
    for row in table.range::<&[u8]>((Bound::Included(from), end))? {
        let (key, vector) = row?;
        if page.len() == limit {
            page.next = Some(key.value().to_vec());
            break;
        }
        if page.is_empty() {
            page.reserve(limit.min(ROWS_RESERVED), key.value(), vector.value());
        }
        page.push(key.value(), vector.value());
    }
    Ok(page)
}
