//! Items and their images.

use std::{collections::BTreeMap, sync::Arc};

use plugrank_contract::ItemId;
use plugrank_store::{NewItem, StoreError, StoredItem, changes::Change, codec};
use redis::{Cmd, cmd};

use crate::{
    batch::{Batch, Kind},
    buckets, changes,
    connection::Server,
    keys::{Key, Keys},
};

/// Items in one exchange.
const CHUNK_ITEMS: usize = 1000;
/// Bytes after which an exchange takes no further item.
const CHUNK_BYTES: usize = 4 << 20;
/// Buckets whose ids are read in one exchange of a scan, at most.
const SCAN_BUCKETS: usize = 64;

/// Writes items, those of a slot in one transaction with the word of their change; of equal ids the
/// last.
pub(crate) async fn put(
    server: &Server,
    keys: &Keys,
    kept: u64,
    mut items: Vec<NewItem>,
) -> Result<(), StoreError> {
    codec::keep_last(&mut items, |new| new.item.item_id.clone());
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let (mut ids, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let (mut gone, mut bytes) = (Vec::new(), 0);
        while ids.len() < CHUNK_ITEMS
            && bytes < CHUNK_BYTES
            && let Some(new) = items.next()
        {
            let stored = codec::stored(new.item, new.image.as_deref());
            let id = stored.item.item_id.clone();
            let value = codec::encode_item(&stored);
            bytes += value.len() + new.image.as_ref().map_or(0, Vec::len);
            names.push(keys.item(&id));
            values.push(value);
            match new.image {
                Some(image) => {
                    names.push(keys.image(&id));
                    values.push(image);
                }
                None => gone.push(keys.image(&id)),
            }
            ids.push(id);
        }
        let mut batch = server.batch(Kind::Transaction);
        server.mset(&mut batch, &names, &values);
        server.del(&mut batch, &gone);
        index(&mut batch, keys, &ids, |key| cmd("ZADD").arg(key).take(), &["0"]);
        changes::announce(&mut batch, keys, Change::Item, &ids, kept);
        server.send::<()>(batch).await?;
    }
    Ok(())
}

pub(crate) async fn delete(
    server: &Server,
    keys: &Keys,
    kept: u64,
    ids: &[ItemId],
) -> Result<(), StoreError> {
    for chunk in ids.chunks(CHUNK_ITEMS) {
        let gone: Vec<_> = chunk.iter().flat_map(|id| [keys.item(id), keys.image(id)]).collect();
        let mut batch = server.batch(Kind::Transaction);
        server.del(&mut batch, &gone);
        index(&mut batch, keys, chunk, |key| cmd("ZREM").arg(key).take(), &[]);
        changes::announce(&mut batch, keys, Change::Item, chunk, kept);
        server.send::<()>(batch).await?;
    }
    Ok(())
}

/// Adds a change of the buckets' indexes: one command a bucket, which begins as `begin` says and
/// names each id after `before`.
fn index(
    batch: &mut Batch,
    keys: &Keys,
    ids: &[ItemId],
    begin: impl Fn(&Key) -> Cmd,
    before: &[&str],
) {
    let mut commands: BTreeMap<usize, (Key, Cmd)> = BTreeMap::new();
    for id in ids {
        let bucket = buckets::bucket_of(id.as_str().as_bytes());
        let (_, command) = commands.entry(bucket).or_insert_with(|| {
            let key = keys.items(bucket);
            let command = begin(&key);
            (key, command)
        });
        command.arg(before).arg(id.as_str());
    }
    for (key, command) in commands.into_values() {
        batch.push(&key, command);
    }
}

/// Items by id, same order.
pub(crate) async fn get(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<Option<Arc<StoredItem>>>, StoreError> {
    let wanted: Vec<_> = ids.iter().map(|id| keys.item(id)).collect();
    server
        .mget(&wanted)
        .await?
        .into_iter()
        .map(|value| value.map(|bytes| decode(server, &bytes)).transpose())
        .collect()
}

/// Whether there are items of these ids, same order.
pub(crate) async fn has(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<bool>, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    for id in ids {
        let key = keys.item(id);
        batch.push(&key, cmd("EXISTS").arg(&key).take());
    }
    server.send(batch).await
}

pub(crate) async fn images(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let wanted: Vec<_> = ids.iter().map(|id| keys.image(id)).collect();
    server.mget(&wanted).await
}

/// Up to `limit` items after `after`, by bucket and in it by the bytes of the id.
pub(crate) async fn scan(
    server: &Server,
    keys: &Keys,
    after: Option<&ItemId>,
    limit: usize,
) -> Result<Vec<Arc<StoredItem>>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let bucket = |id: &ItemId| buckets::bucket_of(id.as_str().as_bytes());
    let mut next = after.map_or(0, bucket);
    let mut after = after.cloned();
    let (mut ids, mut width) = (Vec::new(), 1);
    loop {
        // From one bucket to ever more: large catalogs fill a page from few, small ones from many.
        while ids.len() < limit && next < buckets::COUNT {
            let end = buckets::COUNT.min(next + width);
            ids.extend(ids_of(server, keys, next..end, after.take().as_ref(), limit).await?);
            (next, width) = (end, SCAN_BUCKETS.min(width * 2));
        }
        ids.truncate(limit);
        let Some(last) = ids.last().cloned() else { return Ok(Vec::new()) };
        let page: Vec<_> = get(server, keys, &ids).await?.into_iter().flatten().collect();
        // All deleted since they were listed: an empty page would end the scan too early.
        if !page.is_empty() {
            return Ok(page);
        }
        next = bucket(&last);
        after = Some(last);
        ids.clear();
    }
}

/// Up to `limit` ids of each of some buckets, in the order of the scan; of the first bucket only
/// those after `after`.
async fn ids_of(
    server: &Server,
    keys: &Keys,
    some: std::ops::Range<usize>,
    after: Option<&ItemId>,
    limit: usize,
) -> Result<Vec<ItemId>, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    let first = some.start;
    for bucket in some {
        let start = match after.filter(|_| bucket == first) {
            Some(id) => [b"(", id.as_str().as_bytes()].concat(),
            None => b"-".to_vec(),
        };
        let index = keys.items(bucket);
        let mut command = cmd("ZRANGEBYLEX");
        command.arg(&index).arg(start).arg("+").arg("LIMIT").arg(0).arg(limit);
        batch.push(&index, command);
    }
    let ids: Vec<Vec<String>> = server.send(batch).await?;
    Ok(ids.into_iter().flatten().map(ItemId::from).collect())
}

pub(crate) async fn count(server: &Server, keys: &Keys) -> Result<u64, StoreError> {
    let mut batch = server.batch(Kind::Plain);
    for bucket in 0..buckets::COUNT {
        let index = keys.items(bucket);
        batch.push(&index, cmd("ZCARD").arg(&index).take());
    }
    Ok(server.send::<u64>(batch).await?.into_iter().sum())
}

fn decode(server: &Server, bytes: &[u8]) -> Result<Arc<StoredItem>, StoreError> {
    codec::decode_item(bytes).map(Arc::new).map_err(|error| server.unreadable("item", error))
}
