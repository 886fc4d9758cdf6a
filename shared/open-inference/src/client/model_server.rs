//! The bundle's graph on a server that comes and goes.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use plugrank_bundle::{Bundle, GraphName};
use plugrank_contract::{CallError, Deadline, ErrorCode};
use plugrank_inference::{InferenceError, ModelServerOptions, RemoteGraph, Tensor};
use plugrank_transport::{EndpointStatus, PeerOptions};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, sleep},
};

use super::{
    ModelServerError,
    handshake::{Graph, HandshakeError},
    link::{Abilities, Link},
    silence::Silence,
};

/// How long the server is waited for at the start.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked for while it is away.
const AGAIN: Duration = Duration::from_millis(250);

/// The bundle's graph on a server of someone else's.
///
/// While the server is away, or runs something else, a run fails at once, so that there is time for
/// the ID-based model; in the background it is looked for, and checked again before it is used.
pub struct ModelServerClient {
    shared: Arc<Shared>,
    /// Workers block their threads; requests run here.
    runtime: Option<Runtime>,
}

struct Shared {
    graph: Graph,
    state: ArcSwap<Result<Abilities, HandshakeError>>,
    looking: AtomicBool,
    silence: Mutex<Silence>,
}

impl ModelServerClient {
    /// Meets the server, which is called as `peers` says. One that is not there within ten seconds is looked for in the background,
    /// and [`ModelServerClient::reached`] says so.
    ///
    /// # Errors
    /// When an address is none, or the server runs another graph than the bundle's.
    pub async fn start(
        options: &ModelServerOptions,
        peers: &PeerOptions,
        bundle: Arc<Bundle>,
        graph: GraphName,
    ) -> Result<Self, ModelServerError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("open-inference")
            .enable_all()
            .build()
            .map_err(|error| ModelServerError::Options(error.to_string()))?;
        let link = {
            let _here = runtime.enter();
            Link::new(options, peers).map_err(|error| ModelServerError::Options(error.message))
        };
        let this = |link| {
            let runtime_handle = runtime.handle().clone();
            let link = Arc::new(link);
            let graph = Graph { link, bundle, graph, runtime: runtime_handle };
            let away = HandshakeError::Away("it was not asked yet".to_owned());
            let state = ArcSwap::from_pointee(Err(away));
            let looking = AtomicBool::new(false);
            Arc::new(Shared { graph, state, looking, silence: Mutex::default() })
        };
        let shared = link.map(this);
        let this = Self { shared: shared?, runtime: Some(runtime) };
        let begun = Instant::now();
        loop {
            let met = this.handshake().await;
            let wait = begun.elapsed() < PATIENCE;
            match &met {
                // A server that has just started may not know its models yet.
                Err(HandshakeError::Away(message) | HandshakeError::Refused(message)) if wait => {
                    tracing::info!(
                        model = options.model,
                        message,
                        "waiting for the model's server"
                    );
                    sleep(AGAIN).await;
                }
                Err(HandshakeError::Other(message) | HandshakeError::Refused(message)) => {
                    return Err(ModelServerError::Model {
                        model: options.model.clone(),
                        at: options.url.join(", "),
                        message: message.clone(),
                    });
                }
                Err(HandshakeError::Away(message)) => {
                    tracing::warn!(
                        model = options.model,
                        message,
                        "the model's server is not there; the ID-based model answers until it is"
                    );
                    this.shared.lost(HandshakeError::Away(message.clone()));
                    return Ok(this);
                }
                Ok(speaks) => {
                    tracing::info!(
                        model = options.model,
                        binary = speaks.binary,
                        timeouts = speaks.timeouts,
                        "another server runs the model"
                    );
                    this.shared.state.store(Arc::new(met));
                    return Ok(this);
                }
            }
        }
    }

    /// On the runtime that its requests need.
    async fn handshake(&self) -> Result<Abilities, HandshakeError> {
        let graph = self.shared.graph.clone();
        let shaking = self.shared.graph.runtime.spawn(async move { graph.handshake().await });
        shaking.await.unwrap_or_else(|error| Err(HandshakeError::Away(error.to_string())))
    }

    /// Whether the server is there and runs the bundle's graph.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.shared.state.load().is_ok()
    }

    /// What is known about each of the server's processes. The closure outlives the model.
    pub fn endpoints(&self) -> impl Fn() -> Vec<EndpointStatus> + Send + Sync + 'static {
        let link = Arc::clone(&self.shared.graph.link);
        move || link.server.endpoints()
    }
}

impl Drop for ModelServerClient {
    fn drop(&mut self) {
        // A runtime must not be waited for where other tasks run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl RemoteGraph for ModelServerClient {
    fn available(&self) -> Result<(), InferenceError> {
        self.shared.speaks().map(|_| ())
    }

    fn run(
        &self,
        inputs: &[(&str, &Tensor)],
        deadline: Deadline,
    ) -> Result<Vec<Tensor>, InferenceError> {
        let speaks = self.shared.speaks()?;
        let begun = Instant::now();
        let ran = self.shared.graph.run(speaks, inputs, deadline);
        match &ran {
            Ok(_) => self.shared.silence.lock().answered(begun.elapsed()),
            Err(error) => self.shared.failed(error, begun.elapsed()),
        }
        ran.map_err(|error| InferenceError::Remote(error.message))
    }
}

impl Shared {
    fn speaks(&self) -> Result<Abilities, InferenceError> {
        match &**self.state.load() {
            Ok(speaks) => Ok(*speaks),
            Err(unmet) => Err(InferenceError::Remote(unmet.message().to_owned())),
        }
    }

    /// A run failed. Where that says that the server is gone or another, it is met anew.
    fn failed(self: &Arc<Self>, error: &CallError, waited: Duration) {
        let endpoints = self.graph.link.server.endpoints();
        let lost = match error.code {
            ErrorCode::InvalidArgument | ErrorCode::NotFound => true,
            ErrorCode::Unavailable => endpoints.iter().all(|endpoint| endpoint.ejected),
            ErrorCode::DeadlineExceeded => self.silence.lock().lasts(waited),
            ErrorCode::Overloaded
            | ErrorCode::Internal
            | ErrorCode::NotFinite
            | ErrorCode::NoModel => false,
        };
        if lost {
            self.lost(error.clone().into());
        }
    }

    fn lost(self: &Arc<Self>, unmet: HandshakeError) {
        if self.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        self.state.store(Arc::new(Err(unmet)));
        self.graph.runtime.spawn(look(Arc::downgrade(self)));
    }
}

/// Looks for the server until it is there and runs the bundle's graph.
async fn look(shared: Weak<Shared>) {
    loop {
        sleep(AGAIN).await;
        let Some(shared) = shared.upgrade() else { return };
        let met = shared.graph.handshake().await;
        match &met {
            Ok(_) => {
                tracing::info!("the model's server is back");
                shared.looking.store(false, Ordering::Release);
                shared.state.store(Arc::new(met));
                return;
            }
            Err(HandshakeError::Other(message)) => {
                tracing::error!(message, "the model's server runs another model");
            }
            Err(HandshakeError::Away(_) | HandshakeError::Refused(_)) => {}
        }
        shared.state.store(Arc::new(met));
    }
}
