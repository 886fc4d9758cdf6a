//! A real cluster: three masters, each with a replica.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use plugrank_store_redis::RedisConnection;

use crate::server::{RedisServer, wait_until};

pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub(crate) fn start() -> Self {
        let args = [
            ["--save", ""],
            ["--appendonly", "yes"],
            ["--cluster-enabled", "yes"],
            ["--cluster-config-file", "{dir}/nodes.conf"],
            ["--cluster-node-timeout", "2000"],
            ["--repl-diskless-sync-delay", "0"],
        ];
        let args = args.concat();
        let nodes: Vec<RedisServer> = (0..6).map(|_| RedisServer::start_with(&args)).collect();
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes.iter().map(RedisServer::address))
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli");
        let said = String::from_utf8_lossy(&created.stdout);
        assert!(created.status.success(), "{said}");
        let cluster = Self { nodes };
        cluster.wait_until_whole();
        cluster
    }

    /// Waits until every node knows the slots covered, and every replica follows its master.
    pub(crate) fn wait_until_whole(&self) {
        wait_until("the cluster is whole", || {
            self.nodes.iter().all(|node| {
                let replication = node.ask(&["INFO", "replication"]);
                let follows = replication.contains("master_link_status:up")
                    || replication.contains("connected_slaves:1");
                follows && node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            })
        });
    }

    pub(crate) fn servers(&self) -> RedisConnection {
        // Two of six: the others are learned from them.
        RedisConnection::cluster(self.nodes[1..3].iter().map(RedisServer::url).collect())
    }

    /// Fails every master over to its replica, without a loss.
    pub(crate) fn hand_over(&self) {
        let replicas = self.nodes.iter().filter(|node| node.ask(&["ROLE"]).contains("slave"));
        for replica in replicas.collect::<Vec<_>>() {
            wait_until("the replica is the master", || {
                // The first command is ignored if the master has only just connected to its replica.
                replica.ask(&["CLUSTER", "FAILOVER"]);
                std::thread::sleep(Duration::from_millis(500));
                replica.ask(&["ROLE"]).contains("master")
            });
        }
        self.wait_until_whole();
    }

    /// Kills a master; answers its place.
    pub(crate) fn kill_a_master(&mut self) -> usize {
        let masters = self.nodes.iter().position(|node| node.ask(&["ROLE"]).contains("master"));
        let dead = masters.expect("a master");
        self.nodes[dead].kill();
        dead
    }

    /// Waits until a replica has taken the place of a dead master.
    pub(crate) fn wait_until_replaced(&self, dead: usize) {
        wait_until("a replica takes over", || {
            let live = self.nodes.iter().enumerate().filter(|(place, _)| *place != dead);
            live.filter(|(_, node)| node.ask(&["ROLE"]).contains("master")).count() == 3
        });
    }
}
