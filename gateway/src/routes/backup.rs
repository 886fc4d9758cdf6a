//! `GET /v1/backup`: the embedded store as one file, while it serves.

use std::{fs, io, path::PathBuf, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::Method,
    web::{self, Bytes, BytesMut, Data, ServiceConfig},
};
use futures::stream;
use tokio::{fs::File, io::AsyncReadExt};

use crate::{
    Gateway,
    endpoint::{Endpoint, get_or_head},
    problem::{Problem, ProblemDocument},
};

/// Bytes of a part.
const PART: usize = 256 << 10;

pub(crate) fn configure(config: &mut ServiceConfig) {
    let get = web::route().guard(get_or_head()).to(backup);
    config.service(Endpoint::Backup.resource().route(get));
}

/// Back the store up
///
/// The embedded store as it is at one moment, in one file, while rankings and writes go on: what
/// `plugrank store restore` puts in place. The copy takes as much room beside the store until it is sent.
#[utoipa::path(
    get,
    path = "/v1/backup",
    tag = "operation",
    operation_id = "backup",
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "The file"),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The store is no file of this process: back up the Redis servers by their own means"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "An export or a backup is under way; try again after `Retry-After`"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be read, or there is no room for the copy"),
    ),
)]
pub(crate) async fn backup(
    gateway: Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::Ok();
    response.content_type("application/octet-stream");
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let Ok(turn) = Arc::clone(&gateway.exports).try_acquire_owned() else {
        return Err(Problem::too_many("an export or a backup is under way".to_owned()));
    };
    // What was served until now is in it.
    gateway.exposures.flush().await;
    let Some(copy) = gateway.store.copy().await? else {
        return Err(Problem::conflict(
            "the store is in Redis; back its servers up by their own means (BGSAVE, BGREWRITEAOF)",
        ));
    };
    let (file, length) = open(copy).await.map_err(|error| {
        Problem::unavailable(format!("the copy of the store cannot be read: {error}"))
    })?;
    let parts = stream::unfold(Some((file, turn)), |state| async {
        let (mut file, turn) = state?;
        match part(&mut file).await {
            Ok(None) => None,
            Ok(Some(part)) => Some((Ok(part), Some((file, turn)))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(response.no_chunking(length).streaming(parts))
}

/// Opens a copy and takes its name away, so that nothing is left of it once it is sent, or no longer
/// wanted; its length.
async fn open(copy: PathBuf) -> io::Result<(File, u64)> {
    let file = File::open(&copy).await;
    fs::remove_file(&copy)?;
    let file = file?;
    let length = file.metadata().await?.len();
    Ok((file, length))
}

async fn part(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut part = BytesMut::with_capacity(PART);
    let read = file.read_buf(&mut part).await?;
    Ok((read > 0).then(|| part.freeze()))
}
