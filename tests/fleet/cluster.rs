//! A real Redis Cluster for a test: three masters, each with a replica.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Process, free_port, redis, settings};

struct Node {
    port: u16,
    bus: u16,
    folder: PathBuf,
    child: Child,
}

/// A running cluster; ended with this value.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    folder: TempDir,
}

impl Cluster {
    /// One with the shipped shop in it.
    pub(crate) async fn loaded() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let node = |number: usize| {
            let (port, bus) = (free_port(), free_port());
            let folder = folder.path().join(number.to_string());
            Node { port, bus, child: spawn(&folder, port, bus), folder }
        };
        let nodes: Vec<Node> = (0..6).map(node).collect();
        wait_until("its nodes answer", || nodes.iter().all(Node::answers)).await;
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)))
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli is installed (Debian: apt-get install redis-tools)");
        let said = String::from_utf8_lossy(&created.stdout);
        assert!(created.status.success(), "{said}");
        let cluster = Self { nodes, folder };
        cluster.whole().await;
        let config = cluster.folder.path().join("load.toml");
        // A busy machine's replicas may be slow to follow so much; nothing breaks yet.
        let patient = "store.redis.timeout_ms = 10000";
        fs::write(&config, cluster.settings(0, patient)).expect("the settings can be written");
        redis::load_shop(&config);
        cluster
    }

    /// Starts a process that holds all roles and has the cluster for its store, where a write is
    /// confirmed once a replica has it.
    pub(crate) fn spawn_all(&self, more: &str) -> Process {
        let port = free_port();
        let config = self.folder.path().join(format!("all-{port}.toml"));
        let more = format!("store.redis_data.replicas = 1\n{more}");
        fs::write(&config, self.settings(port, &more)).expect("the settings can be written");
        Process::start("all", port, config)
    }

    fn settings(&self, port: u16, more: &str) -> String {
        // Two of six: the others are learned from them.
        let known = &self.nodes[1..3];
        let urls: Vec<String> =
            known.iter().map(|node| format!("redis://127.0.0.1:{}", node.port)).collect();
        settings(port, &format!("store.redis.cluster_urls = {urls:?}"), more)
    }

    /// SIGKILL for a master; answers its place.
    pub(crate) fn kill_a_master(&mut self) -> usize {
        let master = self.nodes.iter().position(Node::is_master).expect("a master");
        let child = &mut self.nodes[master].child;
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        master
    }

    /// Waits until a replica has taken the place of a dead master.
    pub(crate) async fn replaced(&self, dead: usize) {
        let live = || self.nodes.iter().enumerate().filter(move |(place, _)| *place != dead);
        wait_until("a replica takes over", || {
            live().filter(|(_, node)| node.is_master()).count() == 3
                && live().all(|(_, node)| node.knows_all_slots())
        })
        .await;
    }

    /// Starts a dead node again; it becomes a replica of whoever took its place.
    pub(crate) async fn restart(&mut self, dead: usize) {
        let node = &mut self.nodes[dead];
        node.child = spawn(&node.folder, node.port, node.bus);
        self.whole().await;
    }

    /// Waits until every node knows all slots covered, and every replica follows its master.
    async fn whole(&self) {
        wait_until("the cluster is whole", || {
            self.nodes.iter().all(|node| {
                let replication = node.ask(&["INFO", "replication"]);
                let follows = replication.contains("master_link_status:up")
                    || replication.contains("connected_slaves:1");
                follows && node.knows_all_slots()
            })
        })
        .await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    fn answers(&self) -> bool {
        redis::says(self.port, b"PING\r\n", b"+PONG").is_ok_and(|pong| pong)
    }

    fn is_master(&self) -> bool {
        self.ask(&["ROLE"]).starts_with("master")
    }

    fn knows_all_slots(&self) -> bool {
        let said = self.ask(&["CLUSTER", "INFO"]);
        said.contains("cluster_state:ok") && said.contains("cluster_slots_fail:0")
    }

    /// What the server says; nothing when it does not.
    fn ask(&self, command: &[&str]) -> String {
        let asked = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(command)
            .stderr(Stdio::null())
            .output();
        asked.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default()
    }
}

fn spawn(folder: &Path, port: u16, bus: u16) -> Child {
    fs::create_dir_all(folder).expect("a folder");
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
        .args(["--appendonly", "yes", "--loglevel", "warning", "--dir"])
        .arg(folder)
        .args(["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()])
        .args(["--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"])
        .args(["--cluster-require-full-coverage", "no"])
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (Debian: apt-get install redis-server)")
}

async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !done() {
        assert!(Instant::now() < deadline, "in 90 s not: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
