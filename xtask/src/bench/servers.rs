//! Builds and starts everything that is compared.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{subject::Subject, subjects};
use crate::{
    demo::{self, Build, Server, Site},
    ort_library, process,
    running::Running,
    venv,
};

/// What is built and made before anything runs.
pub(crate) struct Parts {
    bench: PathBuf,
    bundle: PathBuf,
    pub(crate) plugrank: PathBuf,
    pub(crate) library: PathBuf,
    tables: PathBuf,
}

impl Parts {
    /// Builds the programs and encodes the shipped shop for the peers.
    pub(crate) fn make(bundle: PathBuf, build: Build) -> Result<Self> {
        let library = ort_library::ensure()?;
        let programs = [("plugrank-bench", "plugrank-bench"), ("plugrank", "plugrank")];
        let [bench, plugrank] = demo::build_programs(build, programs)?;
        fs::create_dir_all(super::folder())?;
        let tables = super::folder().join("tables.safetensors");
        let mut prepare = Command::new(&bench);
        prepare.arg("prepare").arg("--bundle").arg(&bundle);
        prepare.arg("--dataset").arg(model().join("dataset"));
        process::run(prepare.arg("--library").arg(&library).arg("--out").arg(&tables))?;
        Ok(Self { bench, bundle, plugrank, library, tables })
    }

    /// The shipped shop by the bundle, with its state in a folder.
    pub(crate) fn site(&self, state: PathBuf) -> Site {
        Site::new(model().join("dataset"), self.bundle.clone(), state)
    }

    /// What is served.
    pub(crate) fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// The benchmark's program.
    pub(crate) fn bench_program(&self) -> &Path {
        &self.bench
    }

    /// A command of the benchmark's program.
    pub(crate) fn bench(&self, command: &str) -> Command {
        let mut bench = Command::new(&self.bench);
        bench.arg(command).arg("--tables").arg(&self.tables);
        bench
    }
}

/// Everything that is compared, running; ended with this value.
pub(crate) struct Servers {
    parts: Parts,
    port: u16,
    with_fastapi: bool,
    processes: Vec<(Subject, Running)>,
    plugrank: Server,
}

impl Servers {
    /// What they serve.
    pub(crate) fn bundle(&self) -> &Path {
        self.parts.bundle()
    }

    pub(crate) fn start(
        parts: Parts,
        port: u16,
        with_fastapi: bool,
        settings: &[String],
    ) -> Result<Self> {
        for place in 0..4 {
            demo::free_port(port + place)?;
        }
        let python = with_fastapi.then(|| {
            let home = "loadtests/bench/fastapi";
            venv::ensure("bench-venv", home, "FastAPI and ONNX Runtime")
        });
        let state = super::folder().join("state");
        let _ = fs::remove_dir_all(&state);
        let more: String = settings.iter().map(|line| format!("{line}\n")).collect();
        let site = parts.site(state);
        let (plugrank, _) = demo::serve_with(&parts.plugrank, &parts.library, &site, port, &more)?;
        let mut servers = Self { parts, port, with_fastapi, processes: Vec::new(), plugrank };
        servers.handler(Subject::Scoring, &[])?;
        servers.handler(Subject::Mmr, &["--diversity"])?;
        if let Some(python) = python {
            let mut command = Command::new(python?);
            command.arg(crate::root().join("loadtests/bench/fastapi/server.py"));
            command.arg("--tables").arg(&servers.parts.tables);
            servers.add(Subject::FastApi, "the FastAPI server", command)?;
        }
        servers.warm_up()?;
        servers.alike()?;
        Ok(servers)
    }

    fn handler(&mut self, subject: Subject, more: &[&str]) -> Result<()> {
        let mut command = self.parts.bench("handler");
        command.arg("--library").arg(&self.parts.library).args(more);
        self.add(subject, "the plain handler", command)
    }

    fn add(&mut self, subject: Subject, name: &'static str, mut command: Command) -> Result<()> {
        let port = self.port_of(subject);
        command.args(["--port", &port.to_string()]);
        let log = super::folder().join(format!("{subject:?}.log").to_lowercase());
        let mut running = Running::start(name, &command, &log)?;
        running.wait_until(|| demo::ready(port))?;
        self.processes.push((subject, running));
        Ok(())
    }

    fn port_of(&self, subject: Subject) -> u16 {
        self.port
            + match subject {
                Subject::Plugrank | Subject::Limit => 0,
                Subject::Scoring => 1,
                Subject::Mmr => 2,
                Subject::FastApi => 3,
            }
    }

    /// Its address.
    pub(crate) fn address(&self, subject: Subject) -> String {
        format!("127.0.0.1:{}", self.port_of(subject))
    }

    /// Its process.
    pub(crate) fn pid(&self, subject: Subject) -> Option<u32> {
        if subject == Subject::Plugrank {
            return self.plugrank.pids().first().map(|(_, pid)| *pid);
        }
        let found = self.processes.iter().find(|(one, _)| *one == subject);
        found.map(|(_, running)| running.pid())
    }

    /// What is compared in this run.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = Subject> {
        subjects(self.with_fastapi)
    }

    /// The graph alone.
    pub(crate) fn limit(&self) -> Command {
        let mut command = self.parts.bench("limit");
        command.arg("--library").arg(&self.parts.library);
        command
    }

    /// Load on a server.
    pub(crate) fn load(&self, subject: Subject) -> Result<Command> {
        let pid = self.pid(subject).context("this server does not run")?;
        let mut command = self.parts.bench("load");
        command.args(["--address", &self.address(subject), "--pid", &pid.to_string()]);
        Ok(command)
    }

    /// Every server is asked until its caches are full.
    fn warm_up(&self) -> Result<()> {
        println!("warming up");
        for subject in self.subjects().filter(|subject| *subject != Subject::Limit) {
            let mut load = self.load(subject)?;
            load.args(["--candidates", "500", "--connections", "8"]);
            process::output(load.args(["--seconds", &super::WARM_UP.as_secs().to_string()]))?;
        }
        Ok(())
    }

    /// Servers that do not score alike must not be compared.
    fn alike(&self) -> Result<()> {
        for subject in self.subjects() {
            if matches!(subject, Subject::Limit | Subject::Scoring) {
                continue;
            }
            let mut compare = self.parts.bench("compare");
            compare.args(["--reference", &self.address(Subject::Scoring)]);
            compare.args(["--other", &self.address(subject)]);
            let said = process::output(&mut compare)
                .with_context(|| format!("{} does not do the same work", subject.name()))?;
            println!("{}: {said}", subject.name());
        }
        Ok(())
    }
}

/// The shipped shop.
fn model() -> PathBuf {
    crate::root().join("models/simshop")
}
