//! A bundle's graphs as the batcher runs them.

use std::sync::Arc;

use half::f16;
use parking_lot::Mutex;
use plugrank_bundle::{GraphName, TensorDtype};
use plugrank_contract::Deadline;
use plugrank_inference::{
    BlockMut, InferenceError, RemoteGraph, Session, SessionOptions, Tensor, TensorData,
    batcher::{
        BatchError, BatchModel, Batcher, Buckets, Dims, Entry, GraphInput, GraphModel, Layout,
        NoObserver, Policy, RowAxis, RunError, Shape, TensorRows, Variable, warm_up,
    },
};

use crate::bundle_copy::{library, session, small};

type Answers = Vec<Result<Vec<TensorData>, String>>;
type GraphEntry = Entry<Box<dyn GraphInput>>;

const SHAPE: Shape = Shape { users: 3, candidates: 6, history: 5 };

fn model(graph: GraphName) -> GraphModel {
    GraphModel::load(&library(), &small(), graph, SessionOptions::default()).unwrap()
}

/// Tensors of one user, different for each `seed`.
fn tensors(layouts: &[Layout], dims: Dims, seed: usize) -> Vec<Arc<TensorData>> {
    let tensor = |layout: &Layout| {
        let number = |at: usize| ((seed * 31 + at * 7) % 13) as f32 * 0.1 - 0.5;
        let elements = 0..layout.elements(dims);
        Arc::new(match layout.dtype {
            TensorDtype::F16 => {
                TensorData::F16(elements.map(|at| f16::from_f32(number(at))).collect())
            }
            TensorDtype::F32 if layout.name == "mask" => TensorData::F32(vec![1.0; elements.len()]),
            TensorDtype::F32 => TensorData::F32(elements.map(number).collect()),
            TensorDtype::I64 => {
                TensorData::I64(elements.map(|at| (seed + at) as i64 % 2).collect())
            }
        })
    };
    layouts.iter().map(tensor).collect()
}

fn entry(layouts: &[Layout], dims: Dims, seed: usize) -> GraphEntry {
    Entry { dims, input: TensorRows::boxed(tensors(layouts, dims, seed)) }
}

/// What the session gives for one user alone.
fn alone(session: &mut Session, layouts: &[Layout], dims: Dims, seed: usize) -> Vec<f64> {
    let tensors: Vec<Tensor> = layouts
        .iter()
        .zip(tensors(layouts, dims, seed))
        .map(|(layout, data)| {
            let mut shape = vec![1];
            shape.extend(layout.variable.map(|variable| match variable {
                Variable::Candidates => dims.candidates,
                Variable::History => dims.history,
            }));
            shape.extend(&layout.fixed);
            Tensor { shape, data: Arc::unwrap_or_clone(data) }
        })
        .collect();
    let named: Vec<_> = layouts.iter().map(|layout| layout.name.as_str()).zip(&tensors).collect();
    session.run(&named).unwrap().iter().flat_map(|output| output.data.to_f64()).collect()
}

fn near(got: &[TensorData], expected: &[f64]) {
    let got: Vec<f64> = got.iter().flat_map(TensorData::to_f64).collect();
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-6, "{got} and {expected}");
    }
}

fn run(model: &mut GraphModel, entries: &[GraphEntry]) -> Answers {
    run_as(SHAPE, model, entries)
}

fn run_as(shape: Shape, model: &mut GraphModel, entries: &[GraphEntry]) -> Answers {
    let mut answers = Vec::new();
    model.run(shape, entries, Deadline::NONE, &mut answers).unwrap();
    answers
}

#[test]
fn batched_entries_equal_single_runs_whatever_ran_before() {
    for graph in [GraphName::Unified, GraphName::UserEncoder, GraphName::Idrec] {
        let (mut model, mut session) = (model(graph), session(graph));
        let layouts = model.inputs();
        for round in 0..12 {
            let users = 1 + round * 5 % 3;
            let dims = |user: usize| Dims {
                candidates: 1 + (round * 4 + user) % 6,
                history: 1 + (round * 3 + user) % 5,
            };
            let seed = |user: usize| round * 10 + user;
            let entries: Vec<_> =
                (0..users).map(|user| entry(&layouts, dims(user), seed(user))).collect();
            // Padded to another length each time: candidates keep their memory, histories have their own.
            let shape = Shape { history: [5, 7, 6][round % 3], ..SHAPE };
            let answers = run_as(shape, &mut model, &entries);
            assert_eq!(answers.len(), users);
            for (user, answer) in answers.into_iter().enumerate() {
                let expected = alone(&mut session, &layouts, dims(user), seed(user));
                near(&answer.unwrap(), &expected);
            }
        }
    }
}

/// Writes nothing, panics, or says that it cannot be written.
enum Bad {
    Silent,
    Panics,
    Refuses,
}

impl GraphInput for Bad {
    fn write(&self, blocks: &mut [BlockMut<'_>]) -> Result<(), String> {
        match self {
            Self::Silent => Ok(()),
            Self::Panics => panic!("no rows for {} inputs", blocks.len()),
            Self::Refuses => Err("input `vector`: the record is too short".to_owned()),
        }
    }
}

#[test]
fn an_entry_that_cannot_be_written_fails_alone() {
    let (mut model, mut session) = (model(GraphName::Unified), session(GraphName::Unified));
    let layouts = model.inputs();
    let dims = Dims { candidates: 4, history: 3 };
    let expected = alone(&mut session, &layouts, dims, 5);
    let bad = |input: Bad| Entry { dims, input: Box::new(input) as Box<dyn GraphInput> };
    let missing = Entry { dims, input: TensorRows::boxed(Vec::new()) };
    let short = Dims { candidates: 3, ..dims };
    let wrong = Entry { dims, input: TensorRows::boxed(tensors(&layouts, short, 5)) };
    let large = entry(&layouts, Dims { candidates: 7, history: 3 }, 5);
    for (bad, reason) in [
        (bad(Bad::Panics), "writing its rows panicked: no rows for 6 inputs"),
        (bad(Bad::Refuses), "input `vector`: the record is too short"),
        (missing, "input 0 is missing"),
        (wrong, "input 2 takes 16 elements of f16, got 12 of f16"),
        (large, "the entry is larger than 3 users x 6 candidates x 5 history"),
    ] {
        let answers = run(&mut model, &[entry(&layouts, dims, 5), bad, entry(&layouts, dims, 5)]);
        near(answers[0].as_ref().unwrap(), &expected);
        assert_eq!(answers[1].as_ref().unwrap_err(), reason);
        near(answers[2].as_ref().unwrap(), &expected);
    }
    let answers = run(&mut model, &[bad(Bad::Refuses), bad(Bad::Panics)]);
    assert!(answers.iter().all(Result::is_err) && answers.len() == 2);
}

#[test]
fn blocks_are_zero_unless_everything_is_written() {
    let mut model = model(GraphName::Unified);
    let layouts = model.inputs();
    let dims = Dims { candidates: 6, history: 5 };
    let silent = || [Entry { dims, input: Box::new(Bad::Silent) as Box<dyn GraphInput> }];
    let expected = run(&mut model, &silent());
    run(&mut model, &[entry(&layouts, dims, 3), entry(&layouts, dims, 4)]);
    assert_eq!(run(&mut model, &silent()), expected);
    // What another length of history left behind is zero too.
    let longer = Shape { history: 9, ..SHAPE };
    let expected = run_as(longer, &mut model, &silent());
    run(&mut model, &[entry(&layouts, dims, 5), entry(&layouts, dims, 6)]);
    run_as(longer, &mut model, &[entry(&layouts, Dims { candidates: 6, history: 9 }, 7)]);
    run(&mut model, &[entry(&layouts, dims, 5)]);
    assert_eq!(run_as(longer, &mut model, &silent()), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_outside_the_table_fails_its_own_request_only() {
    let mut models = vec![model(GraphName::Idrec)];
    let layouts = models[0].inputs();
    let dims = Dims { candidates: 4, history: 1 };
    let outside = || {
        let items = TensorData::I64(vec![1, 2, 1_000_000, 3]);
        TensorRows::boxed(vec![Arc::new(TensorData::I64(vec![2])), Arc::new(items)])
    };
    let mut answers = Vec::new();
    let entries = [entry(&layouts, dims, 1), Entry { dims, input: outside() }];
    let failed = models[0].run(SHAPE, &entries, Deadline::NONE, &mut answers).unwrap_err();
    assert!(failed.separable && answers.is_empty(), "{failed:?}");

    let buckets = Buckets::new(vec![1, 8], vec![4], vec![1], RowAxis::Candidates, 32).unwrap();
    let times = warm_up(&mut models, &buckets, &mut |_, _| {}).unwrap();
    let policy = Policy::new(buckets);
    let batcher = Batcher::start("test", models, policy, times, Arc::new(NoObserver)).unwrap();
    let mut session = session(GraphName::Idrec);
    let calls = (0..60).map(|number| {
        let entry = if number % 10 == 4 {
            Entry { dims, input: outside() }
        } else {
            entry(&layouts, dims, number)
        };
        batcher.run(entry, Deadline::NONE)
    });
    for (number, answer) in futures::future::join_all(calls).await.into_iter().enumerate() {
        match answer {
            Err(BatchError::Failed(_)) => assert_eq!(number % 10, 4),
            answer => {
                near(&answer.unwrap().output, &alone(&mut session, &layouts, dims, number));
            }
        }
    }
}

/// Another server, here a session; with `gone` it does not answer.
struct Server {
    session: Mutex<Session>,
    gone: bool,
}

impl RemoteGraph for Server {
    fn available(&self) -> Result<(), InferenceError> {
        if self.gone { Err(InferenceError::Remote("gone".to_owned())) } else { Ok(()) }
    }

    fn run(&self, inputs: &[(&str, &Tensor)], _: Deadline) -> Result<Vec<Tensor>, InferenceError> {
        self.available()?;
        self.session.lock().run(inputs)
    }
}

#[test]
fn a_remote_graph_gives_what_the_session_gives() {
    let graph = GraphName::Idrec;
    let remote = |gone| {
        let server = Server { session: Mutex::new(session(graph)), gone };
        GraphModel::remote(&small(), graph, Arc::new(server)).unwrap()
    };
    let (mut local, mut model) = (model(graph), remote(false));
    assert!(local.only_computes() && !model.only_computes());
    let layouts = model.inputs();
    let dims = Dims { candidates: 5, history: 1 };
    model.warm(SHAPE).unwrap();
    let entries = || {
        let bad = Entry { dims, input: Box::new(Bad::Refuses) as Box<dyn GraphInput> };
        [entry(&layouts, dims, 1), bad, entry(&layouts, dims, 2)]
    };
    assert_eq!(run(&mut model, &entries()), run(&mut local, &entries()));
    let gone = remote(true).run(SHAPE, &entries(), Deadline::NONE, &mut Vec::new()).unwrap_err();
    assert_eq!(gone, RunError::of_the_model("gone"), "it is not asked once for each entry");
}
