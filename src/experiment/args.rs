//! The command line of `plugrank experiment`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{config_arg::ConfigArg, server_client::ServerArg};

/// Arguments of `experiment`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  plugrank experiment ppm
  plugrank experiment ppm --url http://host:8080 --json
  plugrank experiment check experiments.toml
  plugrank experiment analyse exposures.parquet --control idrec"
)]
pub struct ExperimentArgs {
    /// What to do with files.
    #[command(subcommand)]
    pub command: Option<ExperimentCommand>,
    /// Or the results on a running server.
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// An experiment on a running server.
#[derive(Debug, Args)]
pub struct ResultsArgs {
    /// Print the results of this experiment on a running server: the sample ratio first.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// The server.
    #[command(flatten)]
    pub server: ServerArg,
    /// Print the server's answer as it came.
    #[arg(long)]
    pub json: bool,
}

/// Subcommands of `experiment`.
#[derive(Debug, Subcommand)]
pub enum ExperimentCommand {
    /// Check a definition, and see who would get which arm.
    Check(CheckArgs),
    /// Work out the results of an experiment from a file of exposures.
    Analyse(Box<AnalyseArgs>),
}

/// Arguments of `experiment check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads layers and experiments from FILE and prints everything that is wrong with them, or the share
of units each arm gets and the arm of each user named. The same user gets the same arm on every
machine and in every version. What a file holds is told in docs/experiments.md; the least of it:

  [[layers]]
  name = \"ranking\"

  [[experiments]]
  name = \"ppm\"
  layer = \"ranking\"
  control = \"idrec\"
  arms = [{ name = \"idrec\", permille = 500 }, { name = \"unim\", permille = 500 }]

Examples:
  plugrank experiment check experiments.toml
  plugrank experiment check experiments.toml --users u1,u2,u3 --surface home
  plugrank experiment check new.toml --running experiments.toml")]
pub struct CheckArgs {
    /// Definitions (TOML).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Users whose arms to print. They count as users without features.
    #[arg(long, value_name = "ID,ID,..", value_delimiter = ',')]
    pub users: Vec<String>,
    /// The surface their requests are for.
    #[arg(long, default_value = "")]
    pub surface: String,
    /// Definitions in force now: refuse FILE if it would move units of a running experiment from
    /// one arm to another.
    #[arg(long, value_name = "FILE")]
    pub running: Option<PathBuf>,
}

/// Arguments of `experiment analyse`.
#[derive(Debug, Args)]
#[command(after_help = "\
EXPOSURES is a parquet file (plain or snappy) or a CSV file with one row per exposure, or per user
and day: rows of a user add up. Columns that are read, where they are there (others are not):
  arm, user_id    who got what (--arm, --unit name other columns)
  exposures       exposures of the row; 1 without the column
  TASKS           outcomes, one column a task: --tasks click,purchase
  value           what the row was worth
  covariate       what the user did before the experiment; makes intervals narrower (CUPED)
  late, degraded, errors, coverage
                  sums over the row's exposures, for guardrails (coverage: vector_coverage; how much of
                  the catalog is shown is known to a running server alone)
  timestamp       milliseconds, for --from, --until and the days still needed
  forced          rows that are true are left out, as are those of another --experiment

Printed first is whether each arm has the users it should have. If not, users are missing from one
arm, any difference may be theirs, and no lift is shown. Then per metric: the lift, its interval and
p at one look (right if you look once, at a time fixed before), and at every look (right however
often you look, and whenever you stop).

Examples:
  plugrank experiment analyse exposures.parquet --control idrec --tasks click,purchase
  plugrank experiment analyse exposures.csv --definition experiments.toml --experiment ppm
  plugrank experiment analyse exposures.csv --control a --split a=9,b=1 --one-look --json")]
pub struct AnalyseArgs {
    /// Exposures (.parquet or .csv).
    #[arg(value_name = "EXPOSURES")]
    pub file: PathBuf,
    /// Definitions (TOML) that hold the experiment: its control, split, plan and guardrails.
    #[arg(long, value_name = "FILE", requires = "experiment")]
    pub definition: Option<PathBuf>,
    /// Name of the experiment.
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    /// The arm that the others are compared with.
    #[arg(
        long,
        value_name = "ARM",
        required_unless_present = "definition",
        conflicts_with = "definition"
    )]
    pub control: Option<String>,
    /// Share of units of each arm; equal ones without.
    #[arg(long, value_name = "ARM=N,..", value_delimiter = ',', value_parser = share,
        conflicts_with = "definition")]
    pub split: Vec<(String, f64)>,
    /// Columns of outcomes.
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',', default_value = "click")]
    pub tasks: Vec<String>,
    /// Column of the arm.
    #[arg(long, value_name = "COLUMN", default_value = "arm")]
    pub arm: String,
    /// Column of what was assigned.
    #[arg(long, value_name = "COLUMN", default_value = "user_id")]
    pub unit: String,
    /// Column of what the unit did before.
    #[arg(long, value_name = "COLUMN", default_value = "covariate")]
    pub covariate: String,
    /// Only rows from this moment on: the last step of the ramp.
    #[arg(long, value_name = "MS")]
    pub from: Option<i64>,
    /// Only rows before this moment.
    #[arg(long, value_name = "MS")]
    pub until: Option<i64>,
    /// Smallest lift that matters, such as 0.03; for power and the time still needed.
    #[arg(long, value_name = "SHARE", conflicts_with = "definition")]
    pub lift: Option<f64>,
    /// Users of both arms at which intervals for every look are tightest; fix it before the first.
    #[arg(long, value_name = "N", conflicts_with = "definition")]
    pub planned_units: Option<u64>,
    /// This is the one look that was planned: judge the sample ratio by its p at one look.
    #[arg(long)]
    pub one_look: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `replay`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
DECISIONS is a parquet or CSV file with one row per decision of the log: an item at a place. Columns:
  user_id     whose decisions are not independent (--unit names another column)
  reward      outcome: 1 for a click
  propensity  chance with which the log's policy chose it, above 0; known where it explored
  target      chance with which the other policy, such as a new bundle, would have chosen it
  expected, expected_target
              what a model expects of the choice, and of the other policy here; for the doubly robust
              estimate. Without them it is the inverse-propensity one.

With --model the decisions are made of the log itself: FILE is the folder of an export of a server that logs lists in
full (exposures.full_share) and explores. The model is one that a running server has loaded beside the active one, of
which it asks values as of then; --config has the rules. A decision is a place at which something was drawn, given
the places above as they were shown; its reward is 1 where the item was clicked, or --task happened.

A log that says too little of the other policy is refused: below 100 effective decisions or 1% of all, a
mean weight more than 10% from 1, or one decision with over 5% of all weight.

Examples:
  plugrank replay decisions.parquet --json
  plugrank replay today --model shop-8 --url http://127.0.0.1:8080 --config plugrank.toml
  plugrank replay --lists today/exposures.parquet --config plugrank.toml")]
pub struct ReplayArgs {
    /// Decisions (.parquet or .csv); with --lists the `exposures.parquet` of an export, with --model its folder.
    #[arg(value_name = "DECISIONS")]
    pub file: PathBuf,
    /// Estimate what this version of the model would have been worth, from the log of an export.
    #[arg(long, value_name = "VERSION", conflicts_with = "lists")]
    pub model: Option<String>,
    /// With --model: the server that has it loaded.
    #[command(flatten)]
    pub server: ServerArg,
    /// With --model: the rung that it ranks on, such as idrec; full when left out.
    #[arg(long, value_name = "RUNG", requires = "model")]
    pub rung: Option<String>,
    /// With --model: the task that is the reward, a column label_TASK of the interactions; a click when left out.
    #[arg(long, value_name = "TASK", requires = "model")]
    pub task: Option<String>,
    /// With --model: budget of the requests that ask for values; the server's when left out.
    #[arg(long, value_name = "MS", requires = "model")]
    pub budget_ms: Option<u32>,
    /// Re-rank the requests that were logged in full (exposures.full_share) again, by the settings of
    /// --config, and say which lists come out otherwise than they were served.
    #[arg(long)]
    pub lists: bool,
    /// With --lists and --model: settings, as the server had them.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Column of the unit.
    #[arg(long, value_name = "COLUMN", default_value = "user_id")]
    pub unit: String,
    /// Column of the reward.
    #[arg(long, value_name = "COLUMN", default_value = "reward")]
    pub reward: String,
    /// Column of the chance under the log's policy.
    #[arg(long, value_name = "COLUMN", default_value = "propensity")]
    pub propensity: String,
    /// Column of the chance under the other policy.
    #[arg(long, value_name = "COLUMN", default_value = "target")]
    pub target: String,
    /// Column of what a model expects of the choice.
    #[arg(long, value_name = "COLUMN", default_value = "expected")]
    pub expected: String,
    /// Column of what a model expects of the other policy.
    #[arg(long, value_name = "COLUMN", default_value = "expected_target")]
    pub expected_target: String,
    /// Intervals leave out this share.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub alpha: f64,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Reads `ARM=N`.
fn share(text: &str) -> Result<(String, f64), String> {
    let (arm, share) = text.split_once('=').ok_or("is not ARM=N, such as control=1")?;
    let share = share.parse::<f64>().map_err(|error| format!("{share}: {error}"))?;
    if !(share > 0.0 && share.is_finite()) {
        return Err("a share is above 0".to_owned());
    }
    Ok((arm.to_owned(), share))
}
