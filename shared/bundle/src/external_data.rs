//! Files in which a graph keeps weights outside its own (ONNX external data).
//!
//! Only the fields of `onnx.proto` that lead to such a file are named; prost skips all others
//! without copying them.

use std::collections::BTreeSet;

use prost::Message;

#[derive(Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Function>,
}

#[derive(Message)]
struct Function {
    #[prost(message, repeated, tag = "7")]
    nodes: Vec<Node>,
}

#[derive(Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializers: Vec<SparseTensor>,
}

#[derive(Message)]
struct Node {
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Message)]
struct Attribute {
    #[prost(message, optional, tag = "5")]
    tensor: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<Graph>,
    #[prost(message, optional, tag = "22")]
    sparse_tensor: Option<SparseTensor>,
    #[prost(message, repeated, tag = "23")]
    sparse_tensors: Vec<SparseTensor>,
}

#[derive(Message)]
struct SparseTensor {
    #[prost(message, optional, tag = "1")]
    values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    indices: Option<Tensor>,
}

#[derive(Message)]
struct Tensor {
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<Entry>,
}

#[derive(Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Paths, relative to the graph's own file, of all files that it keeps weights in. Nothing for bytes
/// that are no ONNX graph: ONNX Runtime says what is wrong with those.
pub(crate) fn locations(onnx: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Ok(model) = Model::decode(onnx) {
        model.graph.iter().for_each(|graph| graph.collect(&mut found));
        let nodes = model.functions.iter().flat_map(|function| &function.nodes);
        nodes.for_each(|node| node.collect(&mut found));
    }
    found
}

impl Graph {
    fn collect(&self, found: &mut BTreeSet<String>) {
        self.nodes.iter().for_each(|node| node.collect(found));
        self.initializers.iter().for_each(|tensor| tensor.collect(found));
        self.sparse_initializers.iter().for_each(|tensor| tensor.collect(found));
    }
}

impl Node {
    fn collect(&self, found: &mut BTreeSet<String>) {
        for attribute in &self.attributes {
            attribute
                .tensor
                .iter()
                .chain(&attribute.tensors)
                .for_each(|tensor| tensor.collect(found));
            attribute.graph.iter().chain(&attribute.graphs).for_each(|graph| graph.collect(found));
            let sparse = attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors);
            sparse.for_each(|tensor| tensor.collect(found));
        }
    }
}

impl SparseTensor {
    fn collect(&self, found: &mut BTreeSet<String>) {
        self.values.iter().chain(&self.indices).for_each(|tensor| tensor.collect(found));
    }
}

impl Tensor {
    fn collect(&self, found: &mut BTreeSet<String>) {
        let location = self.external_data.iter().find(|entry| entry.key == "location");
        found.extend(location.map(|entry| entry.value.clone()));
    }
}
