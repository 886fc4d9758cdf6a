//! Trace collectors for tests: OTLP over HTTP, over gRPC, and one that never answers.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use parking_lot::Mutex;
use plugrank_tls::test_certificates::CertificateFiles;
use prost::Message;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// The OTLP transport.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

/// A collector that keeps what it receives.
#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    protocol: Protocol,
    spans: Arc<Mutex<Vec<Span>>>,
    /// `service.name` and schema of each resource that sent some.
    services: Arc<Mutex<BTreeSet<(String, String)>>>,
}

impl Collector {
    pub(crate) fn start(protocol: Protocol) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        let collector =
            Self { endpoint, protocol, spans: Arc::default(), services: Arc::default() };
        let served = collector.clone();
        std::thread::spawn(move || match protocol {
            Protocol::Http => actix_web::rt::System::new().block_on(served.http(listener)),
            Protocol::Grpc => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(served.grpc(listener));
            }
        });
        collector
    }

    /// The settings of a site that sends its spans here.
    pub(crate) fn settings(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Http => "http",
            Protocol::Grpc => "grpc",
        };
        let endpoint = &self.endpoint;
        format!(
            "telemetry.otlp_endpoint = \"{endpoint}\"\ntelemetry.otlp_protocol = \"{protocol}\"\n"
        )
    }

    /// Spans of a trace received so far.
    pub(crate) fn of_trace(&self, trace_id: &str) -> Vec<Span> {
        self.all().into_iter().filter(|span| hex(&span.trace_id) == trace_id).collect()
    }

    pub(crate) fn all(&self) -> Vec<Span> {
        self.spans.lock().clone()
    }

    /// Who sent spans so far: `service.name` and the schema of its attributes.
    pub(crate) fn services(&self) -> BTreeSet<(String, String)> {
        self.services.lock().clone()
    }

    /// The same collector behind TLS, with a certificate for `localhost`.
    pub(crate) fn behind_tls(self, files: &CertificateFiles, ca_file: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(&files.certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(&files.key).expect("a key");
        let mut config = ServerConfig::builder_with_provider(plugrank_tls::provider())
            .with_safe_default_protocol_versions()
            .expect("known versions")
            .with_no_client_auth()
            .with_single_cert(chain.map(|one| one.expect("a certificate")).collect(), key)
            .expect("they belong together");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let plain = self.endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        listener.set_nonblocking(true).expect("a listener");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, plain) = (acceptor.clone(), plain.clone());
                tokio::spawn(async move {
                    let mut secured = acceptor.accept(stream).await?;
                    let mut inside = tokio::net::TcpStream::connect(plain).await?;
                    tokio::io::copy_bidirectional(&mut secured, &mut inside).await
                });
            }
        });
        let ca_file = ca_file.display();
        let endpoint = format!("https://localhost:{port}\"\ntelemetry.otlp_ca_file = \"{ca_file}");
        Self { endpoint, ..self }
    }

    /// Waits until `found` finds what it looks for in what was received.
    pub(crate) async fn wait<T>(&self, found: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            let names: Vec<String> = self.all().into_iter().map(|span| span.name).collect();
            assert!(Instant::now() < deadline, "spans so far: {names:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn keep(&self, request: ExportTraceServiceRequest) {
        for from in &request.resource_spans {
            let attributes = from.resource.iter().flat_map(|resource| &resource.attributes);
            let mut named = attributes.filter(|attribute| attribute.key == "service.name");
            let name = named.next().and_then(|name| name.value.clone()?.value);
            let Some(Value::StringValue(name)) = name else { panic!("no service.name: {from:?}") };
            for scope in &from.scope_spans {
                assert_eq!(scope.schema_url, from.schema_url, "{name}");
                self.services.lock().insert((name.clone(), scope.schema_url.clone()));
            }
        }
        let received = request
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans);
        self.spans.lock().extend(received);
    }

    async fn http(self, listener: TcpListener) {
        let server = HttpServer::new(move || {
            let collector = self.clone();
            let receive = move |body: web::Bytes| {
                collector.keep(ExportTraceServiceRequest::decode(body).expect("OTLP"));
                async { HttpResponse::Ok().finish() }
            };
            App::new().route("/v1/traces", web::post().to(receive))
        });
        let server =
            server.workers(1).disable_signals().listen(listener).expect("it can be served");
        server.run().await.expect("it is served");
    }

    async fn grpc(self, listener: TcpListener) {
        listener.set_nonblocking(true).expect("a listener");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self))
            .serve_with_incoming(TcpIncoming::from(listener))
            .await
            .expect("it is served");
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector that takes connections and whatever is sent, and never answers. Returns its address.
pub(crate) fn silent() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("its address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || std::io::copy(&mut &stream, &mut std::io::sink()));
        }
    });
    address
}

/// An attribute of a span.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone()?.value
}

pub(crate) fn text(span: &Span, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// The span of this name.
pub(crate) fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {:?}", names(spans)))
}

pub(crate) fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
