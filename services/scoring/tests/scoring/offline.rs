//! The bundle's models computed one row at a time, straight from its graphs: what an evaluation
//! offline does. Nothing here is shared with the services but the graphs and the tokenizer.

use plugrank_bundle::{Bundle, FeatureEncoder, GraphName, ItemFeatures, TextPreprocessor};
use plugrank_contract::{History, Item, ItemId, UserId, history::time_bucket};
use plugrank_inference::{Session, SessionOptions, Tensor, TensorData};

use crate::fixture::library;

pub(crate) struct Offline<'a> {
    bundle: &'a Bundle,
    features: FeatureEncoder,
    text: TextPreprocessor,
}

fn tensor(shape: &[usize], data: TensorData) -> Tensor {
    Tensor { shape: shape.to_vec(), data }
}

fn integers(cells: &[u32]) -> TensorData {
    TensorData::I64(cells.iter().map(|id| i64::from(*id)).collect())
}

fn joined(tensors: Vec<Tensor>, shape: Vec<usize>) -> Tensor {
    let bytes: Vec<u8> = tensors.iter().flat_map(|one| one.data.to_le_bytes()).collect();
    let dtype = tensors[0].data.dtype();
    Tensor { shape, data: TensorData::from_le_bytes(dtype, &bytes).unwrap() }
}

impl<'a> Offline<'a> {
    pub(crate) fn new(bundle: &'a Bundle) -> Self {
        let text = TextPreprocessor::load(bundle).unwrap().unwrap();
        Self { bundle, features: bundle.feature_encoder().unwrap(), text }
    }

    fn run(&self, graph: GraphName, inputs: &[(&str, &Tensor)]) -> Vec<Tensor> {
        let path = self.bundle.graph_path(graph).unwrap();
        let options = SessionOptions::default();
        Session::load(&library(), &path, options).unwrap().run(inputs).unwrap()
    }

    /// The ids of an item's features: one item id, then two categories.
    pub(crate) fn item(&self, item: &Item) -> ItemFeatures {
        self.features.item(item)
    }

    /// The same, of an item of which nothing but the id is known.
    pub(crate) fn missing_item(&self, id: &ItemId) -> ItemFeatures {
        self.features.missing_item(id)
    }

    /// `item_vector` and `query`.
    pub(crate) fn record(&self, item: &Item) -> Vec<Tensor> {
        let tokens = self.text.encode(vec![item.encoder_text()]).unwrap();
        let ids = tensor(&[1, tokens.width], TensorData::I64(tokens.ids));
        let mask = tensor(&[1, tokens.width], TensorData::I64(tokens.mask));
        let text = self.run(GraphName::TextEncoder, &[("token_ids", &ids), ("mask", &mask)]);
        let TensorData::F32(mut modal) = text[0].data.clone() else { panic!("f32") };
        modal.extend([0.0; 3]);
        self.encode(modal, [1.0, 0.0], &self.item(item))
    }

    /// The same, of an item without content.
    pub(crate) fn missing_record(&self, id: &ItemId) -> Vec<Tensor> {
        self.encode(vec![0.0; 7], [0.0; 2], &self.missing_item(id))
    }

    fn encode(&self, modal: Vec<f32>, present: [f32; 2], ids: &ItemFeatures) -> Vec<Tensor> {
        let modal = tensor(&[1, 7], TensorData::F32(modal));
        let present = tensor(&[1, 2], TensorData::F32(present.to_vec()));
        let categories = tensor(&[1, 2], integers(&ids[1..]));
        let inputs = [("modal", &modal), ("present", &present), ("categories", &categories)];
        self.run(GraphName::ItemEncoder, &inputs)
    }

    /// Click probability of the item of `record`; `items` are those of the entries of `history`.
    pub(crate) fn unified(
        &self,
        user: &UserId,
        history: &History,
        items: &[Item],
        as_of: i64,
        record: &[Tensor],
    ) -> f32 {
        let count = items.len();
        assert!(count > 0, "this reference has no case for an empty history");
        let entries = &history.entries;
        let vectors = items.iter().map(|item| self.record(item).swap_remove(0)).collect();
        let vectors = joined(vectors, vec![1, count, 4]);
        let label = entries.iter().map(|entry| i64::from(entry.clicked)).collect();
        let newest = entries[0].timestamp;
        let age = |timestamp: i64| i64::from(time_bucket(newest - timestamp));
        let age = entries.iter().map(|entry| age(entry.timestamp)).collect();
        let label = tensor(&[1, count], TensorData::I64(label));
        let age = tensor(&[1, count], TensorData::I64(age));
        let mask = tensor(&[1, count], TensorData::F32(vec![1.0; count]));
        let user_id = tensor(&[1], integers(&self.features.user(user, None)));
        let inputs = [
            ("history_vector", &vectors),
            ("label", &label),
            ("age", &age),
            ("mask", &mask),
            ("user_id", &user_id),
        ];
        let state = self.run(GraphName::UserEncoder, &inputs);
        let vector = joined(vec![record[0].clone()], vec![1, 1, 4]);
        let query = joined(vec![record[1].clone()], vec![1, 1, 2]);
        let recency = i64::from(time_bucket(as_of - newest));
        let recency = tensor(&[1], TensorData::I64(vec![recency]));
        let inputs = [
            ("keys", &state[0]),
            ("interest", &state[1]),
            ("vector", &vector),
            ("query", &query),
            ("mask", &mask),
            ("recency", &recency),
        ];
        self.probability(GraphName::Unified, &inputs)
    }

    /// Click probability of the item of `features`.
    pub(crate) fn idrec(&self, user: &UserId, features: &ItemFeatures) -> f32 {
        let user_id = tensor(&[1], integers(&self.features.user(user, None)));
        let item_id = tensor(&[1, 1], integers(&features[..1]));
        self.probability(GraphName::Idrec, &[("user_id", &user_id), ("item_id", &item_id)])
    }

    fn probability(&self, graph: GraphName, inputs: &[(&str, &Tensor)]) -> f32 {
        let TensorData::F32(logit) = self.run(graph, inputs).swap_remove(0).data else {
            panic!("f32")
        };
        assert_eq!(logit.len(), 1);
        self.bundle.calibration(graph, "click").apply(logit[0])
    }
}
