//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use plugrank_access::Scope;

pub use crate::config_arg::ConfigArg;
use crate::{
    experiment::args::{ExperimentArgs, ReplayArgs},
    server_client::{RunningServerArg, ServerArg},
};

/// Ranks items for users within a latency budget.
#[derive(Debug, Parser)]
#[command(name = "plugrank", version, about, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  plugrank demo
  plugrank rank u1
  plugrank top
  plugrank bundle verify models/simshop/bundle
  plugrank load --config plugrank.toml --dataset models/simshop/dataset
  plugrank validate --config plugrank.toml
  plugrank serve --config plugrank.toml
  plugrank keys new --scope rank,events --name shop
  plugrank tune --config plugrank.toml --candidates 300,500
  plugrank export --config plugrank.toml --out today
  plugrank experiment ppm
  plugrank experiment analyse exposures.parquet --control idrec --tasks click,purchase
  PLUGRANK__SERVER__BIND=127.0.0.1:9000 plugrank serve --config plugrank.toml";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load the shop that comes with this program and serve it: a first answer in seconds.
    Demo(DemoArgs),
    /// Rank items for a user by a running server, as a table.
    Rank(RankArgs),
    /// Show a running server's figures, refreshed every few seconds.
    Top(TopArgs),
    /// Serve the REST API, or one role of it.
    Serve(ServeArgs),
    /// Load a dataset folder into the store: items, users, histories. Safe to repeat.
    Load(LoadArgs),
    /// Write what the store holds as a dataset folder, to train on: items, users, histories.
    Export(ExportArgs),
    /// Look after the store.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Look at a model bundle.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Print the results of an experiment; check a definition, or work results out from files.
    Experiment(ExperimentArgs),
    /// Estimate what another policy would have been worth, from logged decisions with propensities.
    Replay(ReplayArgs),
    /// Find workers, threads, batch and buckets for this machine and bundle.
    Tune(TuneArgs),
    /// Make keys for callers of the API.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print the settings in force: defaults, file and environment together.
    Settings(SettingsArgs),
    /// Check the settings without starting: names every problem and exits with 1, or with 0.
    Validate(ValidateArgs),
    /// Print what completes this command line in a shell.
    #[command(
        after_help = "Example: plugrank completions bash > ~/.local/share/bash-completion/completions/plugrank"
    )]
    Completions {
        /// For which shell.
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// What is done with the store.
#[derive(Debug, clap::Subcommand)]
pub enum StoreCommand {
    /// Migrate a store that an earlier version wrote to this one. It must not be in use meanwhile. The
    /// embedded store is kept as it was beside the new one; in Redis the new one has another namespace.
    Migrate {
        /// Settings.
        #[command(flatten)]
        store: StoreArgs,
        /// In Redis: the namespace of the new store, which is then `store.redis_data.namespace`.
        #[arg(long, value_name = "NAME")]
        to_namespace: Option<String>,
    },
    /// Rewrite the store's file, smaller and without a byte of what was deleted. The server must not run.
    Compact(StoreArgs),
    /// Copy the store into a new file: of a running server (--url), or the file that the settings name, whose
    /// server must not run.
    Backup {
        /// Settings.
        #[command(flatten)]
        store: StoreArgs,
        /// A running server.
        #[command(flatten)]
        running: RunningServerArg,
        /// The new file.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Restore a store from a copy; the store must not exist yet.
    Restore {
        /// Settings.
        #[command(flatten)]
        store: StoreArgs,
        /// The copy.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
}

/// Which store.
#[derive(Debug, clap::Args)]
pub struct StoreArgs {
    /// Settings; they name the store.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// Arguments of `settings`.
#[derive(Debug, clap::Args)]
pub struct SettingsArgs {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArg,
    /// What to print.
    #[arg(long, value_enum, default_value_t = SettingsFormat::File)]
    pub format: SettingsFormat,
}

/// What `settings` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SettingsFormat {
    /// The settings in force as a settings file, with what each key means.
    File,
    /// Every key and its default as a Markdown table.
    Table,
    /// The JSON Schema of the settings, as the Helm chart has it.
    Schema,
}

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The store, the settings and the log's level are in the folder of --state; environment variables such
as PLUGRANK__SERVER__BIND override the settings. A later run finds the shop loaded, and the clicks
that were reported.

Examples:
  plugrank demo
  plugrank demo --port 9000 --fresh
  plugrank demo --shop DIR      # DIR/bundle and DIR/dataset, as in models/simshop")]
pub struct DemoArgs {
    /// Port of 127.0.0.1 to serve on.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Folder with a bundle and its dataset; by default the shop that came with this program.
    #[arg(long, value_name = "DIR")]
    pub shop: Option<PathBuf>,
    /// Folder for the store and the settings; by default $XDG_STATE_HOME/plugrank/demo, or
    /// ~/.local/state/plugrank/demo.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Load the shop anew and forget the clicks of earlier runs.
    #[arg(long)]
    pub fresh: bool,
}

/// Arguments of `rank`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  plugrank rank u1
  plugrank rank u1 -k 3 --candidates i1,i2,i3,i4 --explain
  plugrank rank u1 --json | jq .items[0]")]
pub struct RankArgs {
    /// For whom. An unknown user gets a ranking too.
    #[arg(value_name = "USER")]
    pub user: String,
    /// How many items.
    #[arg(short, long, value_name = "N", default_value_t = 10)]
    pub k: u32,
    /// Rank exactly these items.
    #[arg(long, value_name = "ID,ID,..", value_delimiter = ',')]
    pub candidates: Vec<String>,
    /// Leave these items out.
    #[arg(long, value_name = "ID,ID,..", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Latency budget in milliseconds; the server's own when left out.
    #[arg(long, value_name = "MS")]
    pub budget_ms: Option<u32>,
    /// Also say what was left out and why.
    #[arg(long)]
    pub explain: bool,
    /// Print the server's answer as it came.
    #[arg(long)]
    pub json: bool,
    /// The server.
    #[command(flatten)]
    pub server: ServerArg,
}

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
On a terminal the figures are redrawn in place; otherwise they follow each other. Each covers
the seconds since the one before; the first covers all time since the server started.")]
pub struct TopArgs {
    /// The server. Of one whose metrics are on the port for operators, that port.
    #[command(flatten)]
    pub server: ServerArg,
    /// Seconds between two.
    #[arg(long, value_name = "S", default_value_t = 2,
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub every: u64,
    /// How often; until Ctrl-C when left out.
    #[arg(long, value_name = "N")]
    pub times: Option<u64>,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Print `{"valid": .., "problems": [{"key", "message"}]}`.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Settings.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Which part of Plugrank this process is.
    #[arg(long, value_enum, default_value_t = Role::All)]
    pub role: Role,
}

/// Which part of Plugrank a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Everything, in one process.
    All,
    /// The REST API alone.
    Gateway,
    /// Candidates.
    Retrieval,
    /// Item records and user states.
    Embedding,
    /// The unified model.
    Scoring,
    /// The final order.
    Reranking,
}

impl Role {
    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Gateway => "gateway",
            Self::Retrieval => "retrieval",
            Self::Embedding => "embedding",
            Self::Scoring => "scoring",
            Self::Reranking => "reranking",
        }
    }
}

/// Arguments of `load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// Settings; they name the store, and the bundle whose vectors are made.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Dataset folder (see docs/dataset-format.md).
    #[arg(long, value_name = "DIR")]
    pub dataset: PathBuf,
    /// Load only interactions strictly before this moment.
    #[arg(long, value_name = "MS")]
    pub until: Option<i64>,
    /// Accept that a column that the bundle reads is absent, and so missing in every row; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub allow_absent: Vec<String>,
    /// Show items again that were withdrawn from the store (`available: false`) and that the dataset has as
    /// available. Without it they stay withdrawn; the report counts them either way.
    #[arg(long)]
    pub restore_withdrawn: bool,
    /// Leave the encoding of items to the server, and columns unchecked against the bundle.
    #[arg(long)]
    pub no_encode: bool,
    /// Print what was loaded, and how long it took, as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write it into a file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  plugrank export --url http://127.0.0.1:8080 --out today    # of a running server
  plugrank export --config plugrank.toml --out today         # of a store in Redis, or of a stopped server
  plugrank export --url http://127.0.0.1:8080 --out july --since 1782864000000 --until 1785542400000")]
pub struct ExportArgs {
    /// Settings; they name the store. An embedded store is one process's: where that runs, use --url.
    #[command(flatten)]
    pub config: ConfigArg,
    /// A running server.
    #[command(flatten)]
    pub running: RunningServerArg,
    /// The folder to make (see docs/dataset-format.md).
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Only interactions and served lists from this moment on. A model then sees no history from before.
    #[arg(long, value_name = "MS")]
    pub since: Option<i64>,
    /// Only interactions and served lists before this moment.
    #[arg(long, value_name = "MS")]
    pub until: Option<i64>,
    /// Name of the dataset.
    #[arg(long, default_value = "export")]
    pub name: String,
    /// What the store's timestamps mean.
    #[arg(long, value_enum, default_value_t = TimeMeaning::Ms)]
    pub time: TimeMeaning,
    /// Print what was written as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `tune`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs the bundle's unified graph as the server would, in each of some configurations, and prints
candidate rows a second and the time of a request. Nothing else should be busy meanwhile.

Examples:
  plugrank tune --config plugrank.toml --candidates 300,500
  plugrank tune --config plugrank.toml --seconds 30 --write plugrank.toml")]
pub struct TuneArgs {
    /// Settings; they name the bundle and what its graphs run on.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Candidates of the requests that are to be served, each as often as another.
    #[arg(long, value_name = "N,N,..", value_delimiter = ',', default_value = "50,300,500",
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub candidates: Vec<u32>,
    /// Requests at a time.
    #[arg(long, value_name = "N", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub callers: u32,
    /// Longest the whole run may take, in seconds, loading apart.
    #[arg(long, value_name = "S", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Write the best configuration into the section `scoring` of this settings file, which is made
    /// when it is not there. Its comments stay.
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
}

/// What timestamps mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeMeaning {
    /// Milliseconds since the Unix epoch.
    Ms,
    /// A place in the user's sequence.
    Order,
}

/// Subcommands of `bundle`.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Check files, shapes and checksums, and recompute the reference rows.
    Verify(BundleArgs),
    /// Write a bundle of any ONNX model that has a row for each impression. Needs `plugrank-training`.
    Wrap(WrapArgs),
    /// Print what the bundle holds.
    Inspect {
        /// The bundle's folder.
        #[arg(value_name = "DIR")]
        bundle: PathBuf,
        /// Print its manifest as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `bundle wrap`.
#[derive(Debug, clap::Args)]
#[command(after_help = "features.toml: docs/serve-your-own-model.md, \"Any ONNX model\".")]
pub struct WrapArgs {
    /// The ONNX model.
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// What it reads, and where its numbers are (TOML).
    #[arg(long, value_name = "FILE")]
    pub features: PathBuf,
    /// The bundle's folder.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Subcommands of `keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key: prints it, this once, and the line by which the server knows it.
    New(NewKeyArgs),
}

/// Arguments of `keys new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The key goes to standard output, the line to standard error with what to do with it.

Examples:
  plugrank keys new --scope rank,events --name shop
  plugrank keys new --scope admin --name ops --expires 2030-01-01T00:00:00Z
  plugrank keys new --scope rank --name partner --per-second 50 --per-day 100000 --append keys.toml")]
pub struct NewKeyArgs {
    /// What it may do: rank, events, items, metrics, admin.
    #[arg(long, value_name = "SCOPE,SCOPE,..", value_delimiter = ',', required = true)]
    pub scope: Vec<Scope>,
    /// Its name, in logs and refusals: letters, digits, `-` and `_`.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// When it ends, as RFC 3339 writes it; never when left out.
    #[arg(long, value_name = "MOMENT")]
    pub expires: Option<String>,
    /// Requests a second; as access.limits says when left out.
    #[arg(long, value_name = "N")]
    pub per_second: Option<u32>,
    /// Requests at once above that rate.
    #[arg(long, value_name = "N")]
    pub burst: Option<u32>,
    /// Requests a day; as access.limits says when left out.
    #[arg(long, value_name = "N")]
    pub per_day: Option<u32>,
    /// Append the line to this file (access.keys_file), which is made when it is not there.
    #[arg(long, value_name = "FILE")]
    pub append: Option<PathBuf>,
}

/// Which bundle.
#[derive(Debug, clap::Args)]
pub struct BundleArgs {
    /// The bundle's folder.
    #[arg(value_name = "DIR")]
    pub bundle: PathBuf,
    /// The ONNX Runtime library; by default ORT_DYLIB_PATH, or what lies beside this program.
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// A dataset folder that it is to rank: what happens to its columns is told, and it is refused where the
    /// bundle reads a column that it lacks.
    #[arg(long, value_name = "DIR")]
    pub dataset: Option<PathBuf>,
    /// A column that the dataset may lack.
    #[arg(long, value_name = "NAME", requires = "dataset")]
    pub allow_absent: Vec<String>,
    /// Print what was compared as JSON.
    #[arg(long)]
    pub json: bool,
}
