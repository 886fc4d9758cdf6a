//! The wheel in an empty environment: installed, started, asked.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{demo, process, running::Running};

pub(super) fn run(wheel: &Path) -> Result<()> {
    let folder = crate::target().join("package-check");
    let _ = fs::remove_dir_all(&folder);
    process::run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv"))).context(
        "python3 could not make a virtual environment (Debian: apt-get install python3-venv)",
    )?;
    let begun = Instant::now();
    let mut pip = Command::new(folder.join("venv/bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).arg(wheel);
    process::run(&mut pip)?;
    let installed = begun.elapsed();
    first_answer(&folder, "first")?;
    let first = begun.elapsed();
    let again = Instant::now();
    first_answer(&folder, "second")?;
    let again = again.elapsed();
    println!("pip install                {:>6.1} s", installed.as_secs_f64());
    println!("pip install, first answer  {:>6.1} s", first.as_secs_f64());
    println!("second run, first answer   {:>6.1} s", again.as_secs_f64());
    Ok(())
}

/// Starts the demo with nothing but what was installed, and ranks.
fn first_answer(folder: &Path, run: &str) -> Result<()> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut demo = Command::new("env");
    // Neither a library nor a checkout that this machine happens to have.
    demo.arg("--ignore-environment").arg(format!("HOME={}", folder.display()));
    demo.arg(folder.join("venv/bin/plugrank")).args(["demo", "--port", &port.to_string()]);
    let mut server =
        Running::start("plugrank demo", &demo, &folder.join(format!("{run}-run.log")))?;
    let begun = Instant::now();
    server.wait_until(|| demo::ready(port))?;
    let url = format!("http://127.0.0.1:{port}/v1/rank");
    let reply: Value = ureq::post(url)
        .send_json(json!({"user_id": "u1", "k": 5, "budget_ms": 1000}))?
        .body_mut()
        .read_json()?;
    let items = reply["items"].as_array().context("the answer has no items")?;
    ensure!(items.len() == 5, "5 items were asked for: {reply}");
    ensure!(reply["model"].is_string(), "no model scored them: {reply}");
    ensure!(begun.elapsed() < Duration::from_secs(120), "it took {:?}", begun.elapsed());
    Ok(())
}
