//! `GET /v1/export`: what the store holds as tables, while it serves.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::Method,
    web::{self, Bytes, Data, Query, ServiceConfig},
};
use async_trait::async_trait;
use futures::stream;
use parking_lot::Mutex;
use plugrank_dataset::{DatasetMeta, TableTarget};
use plugrank_export::{
    ExportError, ExportOptions, ExportTable, ExportWatch, export_table, negatives,
};
use plugrank_store::{Store, TimeRange};
use tokio::{runtime::Handle, sync::mpsc, task::spawn_blocking};
use utoipa::ToSchema;

use crate::{
    Gateway,
    endpoint::{Endpoint, get_or_head},
    problem::{Problem, ProblemDocument},
    validate::Errors,
};

/// The media type of a table.
const PARQUET: &str = "application/vnd.apache.parquet";
/// Exports at a time; one more is answered 429.
pub(crate) const AT_A_TIME: usize = 1;
/// Parts that wait to be sent.
const PARTS: usize = 4;
/// Bytes from which on a part is sent.
const PART_BYTES: usize = 64 << 10;
/// How long a client may take no part before the export ends.
const STALLED: Duration = Duration::from_secs(60);

pub(crate) fn configure(config: &mut ServiceConfig) {
    let get = web::route().guard(get_or_head()).to(export);
    config.service(Endpoint::Export.resource().route(get));
}

/// Export what is stored
///
/// A table of the dataset folder (docs/dataset-format.md) as parquet, streamed while rankings go on:
/// interactions with the request and the place that showed each and a column `label_TASK` for each further
/// task of the settings; served lists; items; users that have an interaction. `dataset` is the folder's
/// `dataset.json`. `plugrank export --url` makes the whole folder, images too. An answer that breaks off is
/// no parquet file.
#[utoipa::path(
    get,
    path = "/v1/export",
    tag = "operation",
    operation_id = "export",
    params(
        ("what" = inline(ExportWhat), Query, description = "`interactions`, `exposures`, `items`, `users` or `dataset`", example = "interactions"),
        ("from" = Option<i64>, Query, minimum = 0, description = "Only interactions and served lists from this moment on, milliseconds since 1970"),
        ("to" = Option<i64>, Query, minimum = 0, description = "Only those before this moment, which is not before `from`"),
    ),
    responses(
        (status = 200, description = "The table; `dataset` is JSON", content(
            (Vec<u8> = "application/vnd.apache.parquet"),
            (serde_json::Value = "application/json"),
        )),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "A parameter is wrong"),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "Another export is under way; try again after `Retry-After`"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store cannot be reached"),
    ),
)]
pub(crate) async fn export(
    gateway: Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let Asked { what, range } = Asked::read(request.query_string())?;
    let options =
        ExportOptions { range, tasks: gateway.labels.clone(), ..ExportOptions::default() };
    let Exported::Table(table) = what else {
        let negatives = negatives(&gateway.store, &options).await.map_err(refused)?;
        let ExportOptions { name, time, .. } = options;
        let more = serde_json::Map::default();
        return Ok(HttpResponse::Ok().json(DatasetMeta { name, time, negatives, more }));
    };
    let named = format!("attachment; filename=\"{}\"", table.file());
    let mut response = HttpResponse::Ok();
    response.content_type(PARQUET).insert_header(("content-disposition", named));
    if request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let Ok(turn) = Arc::clone(&gateway.exports).try_acquire_owned() else {
        return Err(Problem::too_many("another export is under way".to_owned()));
    };
    // What was served until now is in it.
    gateway.exposures.flush().await;
    let (sender, mut parts) = mpsc::channel(PARTS);
    let (store, runtime) = (Arc::clone(&gateway.store), Handle::current());
    // The answer ends when the last sender is gone: by then the next export may begin.
    let unended = sender.clone();
    // Making columns of rows takes a thread for a while, so it takes none that serves.
    spawn_blocking(move || {
        runtime.block_on(write(&store, table, &options, sender));
        drop(turn);
        drop(unended);
    });
    // Before the answer begins, so that a store that is away is a 503.
    let first = match parts.recv().await.transpose() {
        Ok(first) => first,
        Err(error) => {
            while parts.recv().await.is_some() {}
            return Err(refused(error));
        }
    };
    let parts = stream::unfold((first, parts), |(first, mut parts)| async {
        let part = match first {
            Some(part) => Ok(part),
            None => parts.recv().await?.map_err(io::Error::other),
        };
        Some((part, (None, parts)))
    });
    Ok(response.streaming(parts))
}

fn refused(error: ExportError) -> Problem {
    match error {
        ExportError::Store(error) => Problem::from(error),
        error => Problem::unavailable(error.to_string()),
    }
}

type Part = Result<Bytes, ExportError>;

/// Writes a table into a channel.
async fn write(
    store: &Arc<dyn Store>,
    table: ExportTable,
    options: &ExportOptions,
    parts: mpsc::Sender<Part>,
) {
    let spool = Spool::default();
    let sending = Sending { spool: spool.clone(), parts };
    let written =
        export_table(store, table, TableTarget::Stream(Box::new(spool)), options, &sending).await;
    let outcome = match written {
        Ok(report) => sending.send(1).await.map(|()| report),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(report) => tracing::info!(%table, ?report, "exported"),
        Err(error) => {
            tracing::warn!(%table, %error, "an export ended early");
            // The receiver may be gone.
            let _ = tokio::time::timeout(STALLED, sending.parts.send(Err(error))).await;
        }
    }
}

/// Bytes that were written and not sent yet.
#[derive(Clone, Default)]
struct Spool(Arc<Mutex<Vec<u8>>>);

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what was written, as fast as it is read.
struct Sending {
    spool: Spool,
    parts: mpsc::Sender<Part>,
}

impl Sending {
    /// Sends what is there, from so many bytes on.
    async fn send(&self, least: usize) -> Result<(), ExportError> {
        let bytes = {
            let mut spool = self.spool.0.lock();
            if spool.len() < least {
                return if self.parts.is_closed() { Err(ExportError::Stopped) } else { Ok(()) };
            }
            std::mem::take(&mut *spool)
        };
        let sent = tokio::time::timeout(STALLED, self.parts.send(Ok(bytes.into()))).await;
        sent.map_err(|_| ExportError::Stopped)?.map_err(|_| ExportError::Stopped)
    }
}

#[async_trait]
impl ExportWatch for Sending {
    fn begin(&self, _: &'static str, _: Option<u64>) {}

    async fn advance(&self, _: u64) -> Result<(), ExportError> {
        self.send(PART_BYTES).await
    }

    fn end(&self) {}
}

/// What can be exported, in the API's documents.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[cfg_attr(not(test), expect(dead_code, reason = "only its names are used"))]
pub(crate) enum ExportWhat {
    Interactions,
    Exposures,
    Items,
    Users,
    Dataset,
}

/// What is exported.
#[derive(Debug, PartialEq, Eq)]
enum Exported {
    Table(ExportTable),
    /// `dataset.json`.
    Dataset,
}

/// What a query asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    what: Exported,
    range: TimeRange,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| Problem::invalid_field("query", error.to_string()))?;
        let mut errors = Errors::default();
        let (mut what, mut range) = (None, TimeRange::ALL);
        for (name, value) in pairs.into_inner() {
            let moment = match name.as_str() {
                "what" => {
                    what = Some(value);
                    continue;
                }
                "from" => &mut range.from,
                "to" => &mut range.to,
                _ => {
                    errors.add(name, "is no parameter here; what, from and to are");
                    continue;
                }
            };
            match value.parse() {
                Ok(ms) => {
                    errors.range(&name, ms, 0..=i64::MAX);
                    *moment = ms;
                }
                Err(_) => {
                    let detail = format!("is {value:?}; it must be milliseconds since 1970");
                    errors.add(name, detail);
                }
            }
        }
        if range.from > range.to {
            let detail = format!("is {}; it must not be before `from`, {}", range.to, range.from);
            errors.add("to", detail);
        }
        let what = match what.as_deref() {
            Some("dataset") => Some(Exported::Dataset),
            Some(table) => match table.parse() {
                Ok(table) => Some(Exported::Table(table)),
                Err(detail) => {
                    errors.add("what", format!("{detail}, dataset"));
                    None
                }
            },
            None => {
                errors.add(
                    "what",
                    "is missing; say interactions, exposures, items, users or dataset",
                );
                None
            }
        };
        errors.none_or(())?;
        let what = what.ok_or_else(|| Problem::invalid_field("what", "is missing"))?;
        Ok(Self { what, range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_parameters_are_parsed_and_errors_name_them() {
        let asked = Asked::read("what=users&from=5&to=9").unwrap();
        let range = TimeRange { from: 5, to: 9 };
        for what in [
            ExportWhat::Interactions,
            ExportWhat::Exposures,
            ExportWhat::Items,
            ExportWhat::Users,
            ExportWhat::Dataset,
        ] {
            Asked::read(&format!("what={what:?}").to_lowercase()).unwrap();
        }
        assert_eq!(asked, Asked { what: Exported::Table(ExportTable::Users), range });
        // An empty range: an hourly export that runs twice at once asks for one.
        let asked = Asked::read("what=users&from=9&to=9").unwrap();
        assert_eq!(asked.range, TimeRange { from: 9, to: 9 });
        for (query, field) in [
            ("", "what"),
            ("what=user", "what"),
            ("what=users&from=today", "from"),
            ("what=users&from=9&to=8", "to"),
            ("what=users&from=-1", "from"),
            ("what=users&to=-1", "to"),
            ("what=users&until=9", "until"),
        ] {
            let problem = Asked::read(query).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(field), "{query}");
        }
    }
}
