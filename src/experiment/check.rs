//! `plugrank experiment check`.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result, anyhow};
use plugrank_experiments::{Assigner, Definitions, Subject, UnitKind};

use super::{args::CheckArgs, table::aligned};

/// Reads definitions.
///
/// # Errors
/// Everything that is wrong with the file.
pub(super) fn read(file: &Path) -> Result<Definitions> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Definitions::from_toml(&text)
        .map_err(|problems| anyhow!("{} is refused\n{problems}", file.display()))
}

/// What `experiment check` prints: shares of the arms, then the arms of the users.
///
/// # Errors
/// Everything that is wrong with the definitions, or with taking them for the running ones.
pub fn check(args: &CheckArgs) -> Result<String> {
    let definitions = read(&args.file)?;
    if let Some(running) = &args.running {
        definitions.may_follow(&read(running)?).map_err(|problems| {
            anyhow!("{} may not follow {}\n{problems}", args.file.display(), running.display())
        })?;
    }
    let mut text = shares(&definitions);
    if !args.users.is_empty() {
        text.push('\n');
        text.push_str(&users(&Assigner::new(definitions), args));
    }
    Ok(text)
}

fn shares(definitions: &Definitions) -> String {
    let mut rows = vec![["layer", "experiment", "slots", "arm", "share", ""].map(str::to_owned)];
    for experiment in &definitions.experiments {
        for (arm, share) in experiment.arms.iter().zip(experiment.shares()) {
            let remark = match (arm.name == experiment.control, arm.stopped) {
                (true, _) => "control",
                (false, true) => "stopped",
                (false, false) => "",
            };
            rows.push([
                experiment.layer.clone(),
                experiment.name.clone(),
                format!("{}..{}", experiment.slots.from, experiment.slots.to),
                arm.name.clone(),
                format!("{:.1}%", share * 100.0),
                remark.to_owned(),
            ]);
        }
    }
    aligned(&rows)
}

fn users(assigner: &Assigner, args: &CheckArgs) -> String {
    let definitions = assigner.definitions();
    let mut header = vec!["user".to_owned()];
    header.extend(definitions.layers.iter().map(|layer| layer.name.clone()));
    let mut rows = vec![header];
    for user in &args.users {
        // A layer by request has no arm for a user; its cells stay empty.
        let subject =
            Subject { user_id: user, request_id: "", surface: &args.surface, features: &() };
        let got = assigner.assign(&subject);
        let cell = |layer: &plugrank_experiments::Layer| {
            let found = got.iter().find(|one| one.layer.name == layer.name);
            match found {
                _ if layer.unit == UnitKind::Request => "by request".to_owned(),
                None => "-".to_owned(),
                Some(one) => {
                    let forced = if one.forced { " (forced)" } else { "" };
                    format!("{}/{}{forced}", one.experiment.name, one.arm.name)
                }
            }
        };
        let mut row = vec![user.clone()];
        row.extend(definitions.layers.iter().map(cell));
        rows.push(row);
    }
    let mut text = aligned(&rows);
    let conditions = |one: &&plugrank_experiments::Experiment| !one.target.must.is_empty();
    for experiment in definitions.experiments.iter().filter(conditions) {
        let name = &experiment.name;
        let _ = writeln!(text, "`{name}` asks for user features, which no user has here");
    }
    text
}
