//! Pages of keys, over all servers one after the other.

use plugrank_store::{StoreError, codec};
use redis::cmd;
use serde::{Deserialize, Serialize};

use crate::{connection::Server, keys::Keys};

/// Where a scan stands: at which of the masters it began with, and where in its keys.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    masters: Vec<(String, u16)>,
    at: usize,
    cursor: u64,
}

/// Keys of sorted sets that one `SCAN` of one server finds, and where the next page begins; no place after
/// the last page.
pub(crate) async fn sorted_sets(
    server: &Server,
    keys: &Keys,
    from: Option<&[u8]>,
    limit: usize,
) -> Result<(Vec<Vec<u8>>, Option<Vec<u8>>), StoreError> {
    let masters = server.masters().await?;
    let mut place = match from {
        None => Place { masters, at: 0, cursor: 0 },
        Some(cursor) => {
            let place: Place =
                codec::decode(cursor).map_err(|error| server.unreadable("a cursor", error))?;
            // Another master may hold what this scan has not come to, or has seen.
            if place.masters != masters {
                return Err(StoreError::Unavailable(
                    "the cluster's masters changed while a log or the histories were read; begin again"
                        .to_owned(),
                ));
            }
            place
        }
    };
    let mut command = cmd("SCAN");
    // A log or history has tens of entries, and most keys are of other kinds.
    command.arg(place.cursor).arg("MATCH").arg(keys.pattern());
    command.arg("COUNT").arg((limit / 10).max(10)).arg("TYPE").arg("zset");
    let (cursor, found): (u64, Vec<Vec<u8>>) =
        server.ask(place.masters.get(place.at), command).await?;
    place.cursor = cursor;
    if cursor == 0 {
        place.at += 1;
    }
    let more = cursor != 0 || place.at < place.masters.len();
    Ok((found, more.then(|| codec::encode(&place))))
}
