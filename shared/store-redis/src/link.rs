//! One connection, to a server or to a cluster: the only place where these differ.

use futures::future::try_join_all;
use redis::{
    Cmd, Pipeline, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
    cluster_async::ClusterConnection,
    cluster_routing::{RoutingInfo, SingleNodeRoutingInfo},
    cmd,
};

use crate::batch::Batch;

enum Target {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// A connection of the pool.
pub(crate) struct Link {
    target: Target,
    /// Whether an exchange has begun that has not ended well: it failed, or its caller left.
    suspect: bool,
}

impl Link {
    pub(crate) fn node(connection: MultiplexedConnection) -> Self {
        Self { target: Target::Node(connection), suspect: false }
    }

    pub(crate) fn cluster(connection: ClusterConnection) -> Self {
        Self { target: Target::Cluster(connection), suspect: false }
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Sends a sealed batch; the answers of its parts.
    pub(crate) async fn send(&mut self, batch: &Batch) -> RedisResult<Vec<Vec<Value>>> {
        // Stays so when this future is dropped halfway.
        self.suspect = true;
        let answers = match &mut self.target {
            Target::Node(connection) => {
                let mut answers = Vec::with_capacity(batch.parts().len());
                for part in batch.parts() {
                    answers.push(part.pipeline.query_async(connection).await?);
                }
                answers
            }
            Target::Cluster(connection) => {
                let mut under_way = Vec::with_capacity(batch.parts().len());
                for part in batch.parts() {
                    under_way.push(query(&part.pipeline, connection.clone()));
                }
                try_join_all(under_way).await?
            }
        };
        self.suspect = false;
        Ok(answers)
    }

    pub(crate) async fn ping(&mut self) -> RedisResult<()> {
        let mut ping = Pipeline::new();
        ping.cmd("PING");
        match &mut self.target {
            Target::Node(connection) => ping.query_async::<Vec<Value>>(connection).await?,
            Target::Cluster(connection) => query(&ping, connection.clone()).await?,
        };
        self.suspect = false;
        Ok(())
    }

    /// Sends a command to the server, or to a cluster's node at an address.
    pub(crate) async fn ask(
        &mut self,
        node: Option<&(String, u16)>,
        command: Cmd,
    ) -> RedisResult<Value> {
        self.suspect = true;
        let answer = match (&mut self.target, node) {
            (Target::Node(connection), _) => command.query_async(connection).await?,
            (Target::Cluster(connection), None) => command.query_async(connection).await?,
            (Target::Cluster(connection), Some((host, port))) => {
                let node = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                connection.route_command(command, RoutingInfo::SingleNode(node)).await?
            }
        };
        self.suspect = false;
        Ok(answer)
    }

    /// Addresses of a cluster's masters, sorted; none where there is no cluster.
    pub(crate) async fn masters(&mut self) -> RedisResult<Vec<(String, u16)>> {
        let Target::Cluster(connection) = &mut self.target else { return Ok(Vec::new()) };
        self.suspect = true;
        let anyone = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        let slots = connection.route_command(slots_command(), anyone).await?;
        self.suspect = false;
        masters_of(slots)
    }

    /// Whether an error means that the connection is of no use any more, or leads to a server that
    /// no longer holds the data, and another one may do. A cluster's connection mends itself.
    pub(crate) fn is_lost(&self, error: &RedisError) -> bool {
        matches!(self.target, Target::Node(_))
            && (error.is_unrecoverable_error()
                || error.is_io_error()
                || error.code() == Some("READONLY"))
    }
}

/// Asks a node which nodes hold which slots.
fn slots_command() -> Cmd {
    cmd("CLUSTER").arg("SLOTS").take()
}

/// Addresses of the masters in the reply to [`slots_command`], sorted.
fn masters_of(slots: Value) -> RedisResult<Vec<(String, u16)>> {
    let slots: Vec<Vec<Value>> = redis::from_redis_value(slots)?;
    let mut masters = Vec::new();
    for range in slots {
        // First and last slot, then the master, then replicas.
        let node: Vec<Value> = match range.into_iter().nth(2) {
            Some(node) => redis::from_redis_value(node)?,
            None => continue,
        };
        let [host, port, ..] = &node[..] else { continue };
        masters.push(redis::from_redis_value(Value::Array(vec![host.clone(), port.clone()]))?);
    }
    masters.sort_unstable();
    masters.dedup();
    Ok(masters)
}

async fn query(pipeline: &Pipeline, mut connection: ClusterConnection) -> RedisResult<Vec<Value>> {
    pipeline.query_async(&mut connection).await
}
