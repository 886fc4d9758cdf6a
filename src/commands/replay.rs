//! `plugrank replay`.

use anyhow::ensure;

use super::Failure;
use crate::experiment::{
    args::ReplayArgs, lists_report, log_report, replay, replay_lists, replay_log, replay_report,
};

pub(super) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    if args.lists {
        return lists(args);
    }
    if args.model.is_some() {
        let settings = super::settings::load(&args.config)?;
        let found = replay_log(args, &settings)?;
        return print(args.json, &found, || log_report(&found));
    }
    let found = replay(args)?;
    print(args.json, &found, || replay_report(&found))
}

fn lists(args: &ReplayArgs) -> Result<(), Failure> {
    let settings = super::settings::load(&args.config)?;
    let found = replay_lists(&args.file, &settings)?;
    print(args.json, &found, || lists_report(&found))?;
    let differ = found.lists - found.same;
    let check = || {
        ensure!(differ == 0, "{differ} lists come out otherwise; were the settings the same?");
        Ok(())
    };
    Ok(check()?)
}

fn print(
    json: bool,
    found: &impl serde::Serialize,
    report: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(found).map_err(anyhow::Error::from)?),
        false => print!("{}", report()),
    }
    Ok(())
}
