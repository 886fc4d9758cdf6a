//! `plugrank experiment`.

use anyhow::Result;

use crate::experiment::{analyse, args::ExperimentCommand, check, report};

pub(super) fn run(command: &ExperimentCommand) -> Result<()> {
    match command {
        ExperimentCommand::Check(args) => print!("{}", check(args)?),
        ExperimentCommand::Analyse(args) => {
            let analysis = analyse(args)?;
            if args.json {
                println!("{}", serde_json::to_string_pretty(&analysis)?);
            } else {
                print!("{}", report(&analysis));
            }
        }
    }
    Ok(())
}
