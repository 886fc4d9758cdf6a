//! `plugrank replay`.

use anyhow::Result;

use crate::experiment::{args::ReplayArgs, replay, replay_report};

pub(super) fn run(args: &ReplayArgs) -> Result<()> {
    let found = replay(args)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&found)?),
        false => print!("{}", replay_report(&found)),
    }
    Ok(())
}
