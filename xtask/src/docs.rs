//! `cargo xtask docs`: the documentation as a site.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Result;

use crate::{once, process, venv};

/// Draws the diagrams; from the npm registry, where there is npm. Without it they are shown as text.
const MERMAID: &str = "mermaid@11.17.2";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show it on a port of 127.0.0.1.
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "8000")]
    serve: Option<u16>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let site = build()?;
    println!("the site is in {}", site.display());
    let Some(port) = args.serve else { return Ok(()) };
    println!("http://127.0.0.1:{port}/; Ctrl-C ends it");
    let mut server = Command::new("python3");
    server.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(site);
    process::run(server.arg(port.to_string()))
}

/// Builds the site; a link that leads nowhere is an error.
pub(crate) fn build() -> Result<PathBuf> {
    let python = python()?;
    let site = crate::target().join("docs-site");
    let mut mkdocs = Command::new(python);
    mkdocs.args(["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]).arg(&site);
    mkdocs.env("NO_MKDOCS_2_WARNING", "1");
    if let Some(script) = mermaid()? {
        mkdocs.env("MERMAID", script);
    }
    process::run(mkdocs.current_dir(crate::root()))?;
    Ok(site)
}

/// What building the site needs.
pub(crate) fn fetch() -> Result<()> {
    python()?;
    mermaid().map(drop)
}

fn python() -> Result<PathBuf> {
    venv::ensure("docs-venv", "docs/site", "what the site needs")
}

/// The script of diagrams, fetched once.
fn mermaid() -> Result<Option<PathBuf>> {
    once::at_a_time("mermaid", fetch_mermaid)
}

fn fetch_mermaid() -> Result<Option<PathBuf>> {
    let folder = crate::target().join("mermaid");
    let script = folder.join("package/dist/mermaid.min.js");
    if script.is_file() {
        return Ok(Some(script));
    }
    if !process::works("npm", &["--version"]) {
        println!("no npm: diagrams are shown as text");
        return Ok(None);
    }
    fs::create_dir_all(&folder)?;
    let mut pack = Command::new("npm");
    let file = process::output(pack.args(["pack", "--silent", MERMAID]).current_dir(&folder))?;
    let file = file.lines().last().unwrap_or_default();
    let only = "package/dist/mermaid.min.js";
    process::run(Command::new("tar").args(["-xzf", file, only]).current_dir(&folder))?;
    fs::remove_file(folder.join(file))?;
    Ok(Some(script))
}
