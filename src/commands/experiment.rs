//! `plugrank experiment`.

use anyhow::Result;

use crate::experiment::{
    analyse,
    args::{ExperimentArgs, ExperimentCommand},
    check, online, report,
};

pub(super) fn run(args: &ExperimentArgs) -> Result<()> {
    let Some(command) = &args.command else {
        print!("{}", online(&args.results)?);
        return Ok(());
    };
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
