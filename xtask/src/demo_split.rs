//! `cargo xtask demo --split`: each role in a process of its own, and a Redis behind them.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    demo::{self, Server, Site},
    running::Running,
    system_packages,
};

/// The roles, each after those it calls.
pub(crate) const ROLES: &[&str] = &["embedding", "retrieval", "scoring", "reranking", "gateway"];
/// Retrieval and scoring encode by themselves.
pub(crate) const WITHOUT_EMBEDDING: &[&str] = &["retrieval", "scoring", "reranking", "gateway"];

/// Everything the processes are told apart by.
struct Split<'a> {
    binary: &'a Path,
    library: &'a Path,
    site: &'a Site,
    folder: PathBuf,
    redis_port: u16,
    roles: &'static [&'static str],
    /// In the order of the roles.
    ports: Vec<u16>,
    /// Further settings of every role.
    more: &'a str,
}

/// Loads and serves `site` by `roles`; the REST API is on `port`, and every role has the further settings. Some of its
/// users as well.
pub(crate) fn serve(
    roles: &'static [&'static str],
    binary: &Path,
    library: &Path,
    site: &Site,
    (port, more): (u16, &str),
) -> Result<(Server, Vec<String>)> {
    system_packages::redis()?;
    let folder = site.state.join("split");
    fs::create_dir_all(&folder)?;
    let mut ports = free_ports(roles.len())?;
    let redis_port = std::mem::replace(&mut ports[roles.len() - 1], port);
    let split = Split { binary, library, site, folder, redis_port, roles, ports, more };
    let mut running = vec![split.redis()?];
    for role in 0..roles.len() {
        fs::write(split.config(role), split.settings(role))?;
    }
    let users = demo::load(binary, library, site, &split.config(0))?;
    for role in 0..roles.len() {
        running.push(split.role(role)?);
    }
    split.print(&running);
    Ok((Server::new(running, port), users))
}

impl Split<'_> {
    fn redis(&self) -> Result<Running> {
        let mut command = Command::new("redis-server");
        // What it holds is loaded anew each time, and is there again when it is killed meanwhile.
        let _ = fs::remove_dir_all(self.folder.join("appendonlydir"));
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--port"]);
        command.arg(self.redis_port.to_string()).arg("--dir").arg(&self.folder);
        let mut redis = Running::start("redis", &command, &self.folder.join("redis.log"))?;
        redis.wait_until(|| TcpStream::connect(("127.0.0.1", self.redis_port)).is_ok())?;
        Ok(redis)
    }

    fn role(&self, role: usize) -> Result<Running> {
        let name = self.roles[role];
        println!("starting {name}");
        let mut command = Command::new(self.binary);
        command.args(["serve", "--role", name, "--config"]).arg(self.config(role));
        let log = self.folder.join(format!("{name}.log"));
        let mut running = Running::start(name, &command, &log)?;
        running.wait_until(|| demo::ready(self.ports[role]))?;
        Ok(running)
    }

    fn config(&self, role: usize) -> PathBuf {
        self.folder.join(format!("{}.toml", self.roles[role]))
    }

    /// Each role is told where those before it are.
    fn settings(&self, role: usize) -> String {
        let mut text = demo::settings(self.site, self.ports[role], self.library);
        text.push_str("store.kind = \"redis\"\n");
        text.push_str(&format!("store.redis.url = \"redis://127.0.0.1:{}/0\"\n", self.redis_port));
        let calls =
            |name: &str| name == "embedding" || ["gateway", "all"].contains(&self.roles[role]);
        let others = self.roles.iter().zip(&self.ports).take(role);
        for (name, port) in others.filter(|(name, _)| calls(name)) {
            text.push_str(&format!("peers.{name}_url = \"http://127.0.0.1:{port}\"\n"));
        }
        text.push_str(self.more);
        text
    }

    fn print(&self, running: &[Running]) {
        println!("\n{:<10} {:<22} {:>8}", "role", "address", "pid");
        let ports = std::iter::once(self.redis_port).chain(self.ports.iter().copied());
        for (process, port) in running.iter().zip(ports) {
            println!(
                "{:<10} {:<22} {:>8}",
                process.name,
                format!("127.0.0.1:{port}"),
                process.pid()
            );
        }
        println!();
    }
}

fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All are held until the last is found, so that they differ.
    let held: Vec<_> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    Ok(held.iter().map(|one| one.local_addr().map(|at| at.port())).collect::<Result<_, _>>()?)
}
