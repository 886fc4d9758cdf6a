//! `plugrank top`.

use std::{
    io::{IsTerminal, Write, stdout},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    cli::TopArgs,
    server_client::ServerClient,
    top::{Figures, Scrape},
};

/// Clears the terminal and goes to its first place.
const CLEAR: &str = "\x1b[2J\x1b[H";

pub(super) fn run(args: &TopArgs) -> Result<()> {
    let server = ServerClient::new(&args.server)?;
    let redraw = stdout().is_terminal() && !args.json;
    let mut before: Option<(Scrape, Instant)> = None;
    let mut shown = 0;
    loop {
        let scrape = Scrape::read(&server.text("/metrics")?)?;
        let now = Instant::now();
        let since = before.as_ref().map(|(before, at)| (before, now.duration_since(*at)));
        let figures = Figures::between(since, &scrape);
        let text = match args.json {
            true => format!("{}\n", serde_json::to_string(&figures)?),
            false => figures.to_string(),
        };
        let clear = if redraw { CLEAR } else { "" };
        let mut out = stdout().lock();
        write!(out, "{clear}{text}")?;
        out.flush()?;
        shown += 1;
        if args.times.is_some_and(|times| shown >= times) {
            return Ok(());
        }
        before = Some((scrape, now));
        thread::sleep(Duration::from_secs(args.every));
    }
}
