//! The plain server: an actix-web handler, one session a worker, tables in memory, and nothing else.

use std::{cell::RefCell, path::PathBuf, sync::Arc};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Result;
use plugrank_inference::Library;
use serde::{Deserialize, Serialize};

use crate::{
    mmr::Mmr,
    scorer::{Scorer, probabilities},
    tables::Tables,
};

/// Bytes of the largest body.
const MAX_BODY: usize = 4 << 20;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// File written by `prepare`.
    #[arg(long)]
    tables: PathBuf,
    /// The ONNX Runtime library.
    #[arg(long)]
    library: PathBuf,
    /// Port of 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Threads that serve, each with a session of its own.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Order by maximal marginal relevance.
    #[arg(long)]
    diversity: bool,
    /// Weight of the click probability in it.
    #[arg(long, default_value_t = 0.8)]
    lambda: f32,
    /// Best candidates among which it compares.
    #[arg(long, default_value_t = 200)]
    pool: usize,
}

#[derive(Deserialize)]
struct Request<'a> {
    user_id: &'a str,
    #[serde(borrow)]
    candidates: Vec<&'a str>,
    k: usize,
}

#[derive(Serialize)]
struct Item<'a> {
    item_id: &'a str,
    rank: usize,
    score: f32,
    ctr: f32,
}

#[derive(Serialize)]
struct Reply<'a> {
    user_id: &'a str,
    items: Vec<Item<'a>>,
}

/// What a worker has.
struct Worker {
    tables: Arc<Tables>,
    mmr: Option<Arc<Mmr>>,
    scorer: Option<Scorer>,
    library: Library,
    rows: Vec<u32>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let library = Library::load(Some(&args.library))?;
    let tables = Arc::new(Tables::open(&args.tables)?);
    let (vectors, dim) = tables.unit_vectors();
    let mmr = Mmr { vectors, dim, lambda: args.lambda, pool: args.pool };
    let mmr = args.diversity.then(|| Arc::new(mmr));
    let app = move || {
        let worker = Worker {
            tables: Arc::clone(&tables),
            mmr: mmr.clone(),
            scorer: None,
            library: library.clone(),
            rows: Vec::new(),
        };
        App::new()
            .app_data(web::Data::new(RefCell::new(worker)))
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .route("/v1/rank", web::post().to(rank))
            .route("/readyz", web::get().to(async || "ready"))
    };
    let server = HttpServer::new(app).workers(args.workers).bind(("127.0.0.1", args.port))?;
    actix_web::rt::System::new().block_on(server.run())?;
    Ok(())
}

async fn rank(worker: web::Data<RefCell<Worker>>, body: web::Bytes) -> HttpResponse {
    // Nothing is awaited while it is borrowed.
    match worker.borrow_mut().rank(&body) {
        Ok(json) => HttpResponse::Ok().content_type("application/json").body(json),
        Err(error) => HttpResponse::BadRequest().body(format!("{error:#}")),
    }
}

impl Worker {
    fn rank(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let request: Request<'_> = serde_json::from_slice(body)?;
        let tables = &*self.tables;
        let user = tables.users.get(request.user_id).copied();
        let user = user.ok_or_else(|| anyhow::anyhow!("no user {}", request.user_id))?;
        self.rows.clear();
        self.rows.extend(request.candidates.iter().filter_map(|id| tables.items.get(*id)));
        let scorer = match &mut self.scorer {
            Some(scorer) => scorer,
            none => none.insert(Scorer::load(&self.library, tables)?),
        };
        scorer.gather(tables, &self.rows);
        let mut scores = scorer.run(tables, user)?;
        probabilities(tables, &mut scores);
        let mut ranked: Vec<(u32, f32)> = self.rows.iter().copied().zip(scores).collect();
        let best = self.mmr.as_ref().map_or(request.k, |mmr| mmr.pool.max(request.k));
        best_first(&mut ranked, best);
        let picked = match &self.mmr {
            Some(mmr) => mmr.pick(&ranked, request.k),
            None => ranked.iter().map(|(_, ctr)| *ctr).enumerate().take(request.k).collect(),
        };
        let item = |(rank, (place, score)): (usize, (usize, f32))| {
            let (row, ctr) = ranked[place];
            let item_id = tables.about.items[row as usize].as_str();
            Item { item_id, rank: rank + 1, score, ctr }
        };
        let items = picked.into_iter().enumerate().map(item).collect();
        Ok(serde_json::to_vec(&Reply { user_id: request.user_id, items })?)
    }
}

/// Keeps the `count` most probable, best first.
fn best_first(ranked: &mut Vec<(u32, f32)>, count: usize) {
    let better = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1);
    if count < ranked.len() {
        ranked.select_nth_unstable_by(count, better);
        ranked.truncate(count);
    }
    ranked.sort_unstable_by(better);
}
