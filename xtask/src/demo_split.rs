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
const ROLES: [&str; 5] = ["embedding", "retrieval", "scoring", "reranking", "gateway"];

/// Everything the processes are told apart by.
struct Split<'a> {
    binary: &'a Path,
    library: &'a Path,
    site: &'a Site,
    folder: PathBuf,
    redis_port: u16,
    /// In the order of [`ROLES`].
    ports: [u16; ROLES.len()],
}

/// Loads and serves `site`; the REST API is on `port`. Some of its users as well.
pub(crate) fn serve(
    binary: &Path,
    library: &Path,
    site: &Site,
    port: u16,
) -> Result<(Server, Vec<String>)> {
    system_packages::redis()?;
    let folder = site.state.join("split");
    fs::create_dir_all(&folder)?;
    let [redis_port, a, b, c, d] = free_ports()?;
    let split = Split { binary, library, site, folder, redis_port, ports: [a, b, c, d, port] };
    let mut running = vec![split.redis()?];
    for role in 0..ROLES.len() {
        fs::write(split.config(role), split.settings(role))?;
    }
    let users = demo::load(binary, library, site, &split.config(0))?;
    for role in 0..ROLES.len() {
        running.push(split.role(role)?);
    }
    split.print(&running);
    Ok((Server::new(running, port), users))
}

impl Split<'_> {
    fn redis(&self) -> Result<Running> {
        let mut command = Command::new("redis-server");
        // What it holds is loaded anew each time.
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
        command.arg(self.redis_port.to_string()).arg("--dir").arg(&self.folder);
        let mut redis = Running::start("redis", &command, &self.folder.join("redis.log"))?;
        redis.wait_until(|| TcpStream::connect(("127.0.0.1", self.redis_port)).is_ok())?;
        Ok(redis)
    }

    fn role(&self, role: usize) -> Result<Running> {
        let name = ROLES[role];
        println!("starting {name}");
        let mut command = Command::new(self.binary);
        command.args(["serve", "--role", name, "--config"]).arg(self.config(role));
        let log = self.folder.join(format!("{name}.log"));
        let mut running = Running::start(name, &command, &log)?;
        running.wait_until(|| demo::ready(self.ports[role]))?;
        Ok(running)
    }

    fn config(&self, role: usize) -> PathBuf {
        self.folder.join(format!("{}.toml", ROLES[role]))
    }

    /// Each role is told where those before it are.
    fn settings(&self, role: usize) -> String {
        let mut text = demo::settings(self.site, self.ports[role], self.library);
        text.push_str("store.kind = \"redis\"\n");
        text.push_str(&format!("store.redis_url = \"redis://127.0.0.1:{}/0\"\n", self.redis_port));
        let called = if ROLES[role] == "gateway" { role } else { role.min(1) };
        for (name, port) in ROLES.iter().zip(self.ports).take(called) {
            text.push_str(&format!("peers.{name}_url = \"http://127.0.0.1:{port}\"\n"));
        }
        text
    }

    fn print(&self, running: &[Running]) {
        println!("\n{:<10} {:<22} {:>8}", "role", "address", "pid");
        let ports = std::iter::once(self.redis_port).chain(self.ports);
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

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held until the last is found, so that they differ.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
