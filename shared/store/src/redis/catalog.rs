//! Items and their images.

use std::sync::Arc;

use deadpool_redis::redis::{self, Pipeline};
use plugrank_contract::ItemId;

use super::{connection::Server, keys::Keys};
use crate::{NewItem, StoreError, StoredItem, codec};

/// Items in one exchange.
const CHUNK_ITEMS: usize = 1000;
/// Bytes after which an exchange takes no further item.
const CHUNK_BYTES: usize = 4 << 20;
/// Ids in one command; a server answers nobody else while it works on one.
const CHUNK_IDS: usize = 1000;

/// Writes items, up to [`CHUNK_ITEMS`] in one transaction.
pub(super) async fn put(
    server: &Server,
    keys: &Keys,
    items: Vec<NewItem>,
) -> Result<(), StoreError> {
    let index = keys.items();
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        let (mut count, mut bytes) = (0, 0);
        while count < CHUNK_ITEMS
            && bytes < CHUNK_BYTES
            && let Some(new) = items.next()
        {
            let stored = codec::stored(new.item, new.image.as_deref());
            let id = &stored.item.item_id;
            let value = codec::encode_item(&stored);
            count += 1;
            bytes += value.len() + new.image.as_ref().map_or(0, Vec::len);
            pipeline.set(keys.item(id), value).ignore();
            match new.image {
                Some(image) => pipeline.set(keys.image(id), image).ignore(),
                None => pipeline.del(keys.image(id)).ignore(),
            };
            pipeline.zadd(&index, id.as_str(), 0).ignore();
        }
        server.query::<()>(&pipeline).await?;
    }
    Ok(())
}

pub(super) async fn delete(server: &Server, keys: &Keys, ids: &[ItemId]) -> Result<(), StoreError> {
    let index = keys.items();
    for chunk in ids.chunks(CHUNK_IDS) {
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        for id in chunk {
            pipeline.del(keys.item(id)).ignore();
            pipeline.del(keys.image(id)).ignore();
            pipeline.zrem(&index, id.as_str()).ignore();
        }
        server.query::<()>(&pipeline).await?;
    }
    Ok(())
}

/// Items by id, same order.
pub(super) async fn get(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<Option<Arc<StoredItem>>>, StoreError> {
    mget(server, ids.iter().map(|id| keys.item(id)))
        .await?
        .into_iter()
        .map(|value| value.map(|bytes| decode(server, &bytes)).transpose())
        .collect()
}

pub(super) async fn images(
    server: &Server,
    keys: &Keys,
    ids: &[ItemId],
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    mget(server, ids.iter().map(|id| keys.image(id))).await
}

/// Up to `limit` items whose id's bytes come after those of `after`.
pub(super) async fn scan(
    server: &Server,
    keys: &Keys,
    after: Option<&ItemId>,
    limit: usize,
) -> Result<Vec<Arc<StoredItem>>, StoreError> {
    let mut after = after.cloned();
    loop {
        let start = after
            .as_ref()
            .map_or_else(|| b"-".to_vec(), |id| [b"(", id.as_str().as_bytes()].concat());
        let count = isize::try_from(limit).unwrap_or(isize::MAX);
        let mut pipeline = redis::pipe();
        pipeline.zrangebylex_limit(keys.items(), start, "+", 0, count);
        let (ids,): (Vec<String>,) = server.query(&pipeline).await?;
        let Some(last) = ids.last() else { return Ok(Vec::new()) };
        after = Some(last.as_str().into());
        let ids: Vec<ItemId> = ids.into_iter().map(ItemId::from).collect();
        let page: Vec<_> = get(server, keys, &ids).await?.into_iter().flatten().collect();
        // All deleted since they were listed: an empty page would end the scan too early.
        if !page.is_empty() {
            return Ok(page);
        }
    }
}

pub(super) async fn count(server: &Server, keys: &Keys) -> Result<u64, StoreError> {
    let (count,) = server.query(redis::pipe().zcard(keys.items())).await?;
    Ok(count)
}

/// Values of string keys, same order; in one exchange.
pub(super) async fn mget(
    server: &Server,
    keys: impl Iterator<Item = Vec<u8>>,
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let keys: Vec<Vec<u8>> = keys.collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipeline = Pipeline::new();
    for chunk in keys.chunks(CHUNK_IDS) {
        pipeline.cmd("MGET").arg(chunk);
    }
    let chunks: Vec<Vec<Option<Vec<u8>>>> = server.query(&pipeline).await?;
    Ok(chunks.into_iter().flatten().collect())
}

fn decode(server: &Server, bytes: &[u8]) -> Result<Arc<StoredItem>, StoreError> {
    codec::decode_item(bytes).map(Arc::new).map_err(|error| server.unreadable("item", error))
}
