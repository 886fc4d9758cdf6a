//! Connection handling, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, rt, web};
use parking_lot::Mutex;
use plugrank_http::{HttpServer, resource};
use plugrank_runtime::{Health, Shutdown};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const GET: &[u8] = b"GET /fast HTTP/1.1\r\nhost: x\r\n\r\n";
const POST: &[u8] = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello";
/// Long enough for anything here that does not hang.
const LONG: Duration = Duration::from_secs(20);

/// Blocks the thread that serves, until its other end is dropped or sends.
type Gate = Arc<Mutex<mpsc::Receiver<()>>>;

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: rt::task::JoinHandle<()>,
    release: mpsc::Sender<()>,
}

impl Server {
    fn start(server: HttpServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (release, gate) = mpsc::channel();
        let gate: Gate = Arc::new(Mutex::new(gate));
        let app = move || {
            let gate = Arc::clone(&gate);
            let stall = move || {
                let _ = gate.lock().recv();
                std::future::ready(HttpResponse::Ok().body("released"))
            };
            let echo = |body: web::Bytes| async move { HttpResponse::Ok().body(body) };
            App::new()
                .service(resource("/fast", "GET").route(web::get().to(|| async { "fast" })))
                .service(resource("/echo", "POST").route(web::post().to(echo)))
                .service(resource("/stall", "GET").route(web::get().to(stall)))
        };
        let shutdown = Shutdown::manual();
        let until = shutdown.clone();
        let ended = rt::spawn(async move {
            server.serve(listener, Health::new(), until, app).await.unwrap();
        });
        Self { address, shutdown, ended, release }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.request();
        timeout(LONG, self.ended).await.unwrap().unwrap();
    }
}

fn quick() -> HttpServer {
    HttpServer {
        keep_alive: Duration::from_millis(600),
        head_timeout: Duration::from_millis(150),
        grace: Duration::from_secs(5),
        ..HttpServer::default()
    }
}

/// One answer: its head in lower case, and its body.
async fn answer(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return (head, body.to_owned());
            }
        }
        let read = timeout(LONG, stream.read_buf(&mut bytes)).await.unwrap().unwrap_or(0);
        assert!(read > 0, "the connection ended: {:?}", String::from_utf8_lossy(&bytes));
    }
}

/// Everything up to the end of the connection.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// As Java's HttpClient begins every connection, unless it is told not to.
fn offering_h2c(body: &str) -> Vec<u8> {
    format!(
        "POST /echo HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: {}\r\nHost: x\r\n\
         HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[actix_web::test]
async fn an_offer_of_h2c_is_ignored_and_the_connection_kept() {
    let server = Server::start(quick());
    let mut stream = server.connect().await;
    for number in 0..40 {
        let sent = offering_h2c(&format!("hello {number}"));
        // The head alone first, every other time.
        let cut = if number % 2 == 0 { sent.len() } else { sent.len() - 6 };
        stream.write_all(&sent[..cut]).await.unwrap();
        rt::task::yield_now().await;
        stream.write_all(&sent[cut..]).await.unwrap();
        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with("http/1.1 200") && !head.contains("connection:"), "{head}");
        assert_eq!(body, format!("hello {number}"));
    }
    for offer in ["websocket", "TLS/1.0", "h2c, websocket"] {
        let request = format!(
            "GET /fast HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, upgrade\r\nupgrade: {offer}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.1, "fast");
    }
    server.stop().await;
}

#[actix_web::test]
async fn requests_are_answered_after_the_server_thread_was_blocked() {
    let server = Server::start(quick());
    let mut fresh = Vec::new();
    for _ in 0..4 {
        fresh.push(server.connect().await);
    }
    let mut used = server.connect().await;
    used.write_all(GET).await.unwrap();
    answer(&mut used).await;
    let mut stalled = server.connect().await;
    stalled.write_all(b"GET /stall HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // The one thread that serves is blocked from now on, for longer than a head or body may take.
    let held = Instant::now();
    fresh.push(server.connect().await);
    fresh.push(used);
    for stream in &mut fresh {
        stream.write_all(POST).await.unwrap();
    }
    tokio::time::sleep_until((held + Duration::from_millis(450)).into()).await;
    server.release.send(()).unwrap();
    assert_eq!(answer(&mut stalled).await.1, "released");
    for stream in &mut fresh {
        let (head, body) = answer(stream).await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "hello");
    }
    server.stop().await;
}

#[actix_web::test]
async fn idle_connections_are_kept_and_then_closed_without_an_answer() {
    let server = Server::start(quick());
    let (mut fresh, mut used) = (server.connect().await, server.connect().await);
    let opened = Instant::now();
    used.write_all(GET).await.unwrap();
    answer(&mut used).await;
    for stream in [&mut fresh, &mut used] {
        assert_eq!(rest(stream).await, b"");
    }
    assert!(opened.elapsed() >= Duration::from_millis(550), "{:?}", opened.elapsed());
    // Later than a head may take, and before keep-alive ends: served.
    let mut warm = server.connect().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    warm.write_all(GET).await.unwrap();
    assert_eq!(answer(&mut warm).await.1, "fast");
    server.stop().await;
}

#[actix_web::test]
async fn an_incomplete_head_gets_408() {
    let server = Server::start(quick());
    let mut stream = server.connect().await;
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost:").await.unwrap();
    let told = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(told.starts_with("HTTP/1.1 408 ") && told.contains("head-too-slow"), "{told}");
    // The same for a request that is not the connection's first.
    let mut stream = server.connect().await;
    stream.write_all(GET).await.unwrap();
    answer(&mut stream).await;
    stream.write_all(&GET[..9]).await.unwrap();
    let told = String::from_utf8(rest(&mut stream).await).unwrap();
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    server.stop().await;
}

#[actix_web::test]
async fn lines_that_end_in_lf_only_are_refused() {
    let server = Server::start(quick());
    for bad in ["GET /fast HTTP/1.1\nhost: x\n\n", "GET /fast HTTP/1.1\r\nhost: x\n\r\n", "\nGET /"]
    {
        let mut stream = server.connect().await;
        stream.write_all(bad.as_bytes()).await.unwrap();
        let told = String::from_utf8(rest(&mut stream).await).unwrap();
        assert!(told.starts_with("HTTP/1.1 400 ") && told.contains("ends in LF alone"), "{told}");
        // Behind another request too, on a connection in use and at once.
        for together in [false, true] {
            let mut stream = server.connect().await;
            let second = if together { [POST, bad.as_bytes()].concat() } else { POST.to_vec() };
            stream.write_all(&second).await.unwrap();
            let (head, _) = answer(&mut stream).await;
            assert!(head.starts_with("http/1.1 200"), "{head}");
            if !together {
                stream.write_all(bad.as_bytes()).await.unwrap();
            }
            let told = String::from_utf8(rest(&mut stream).await).unwrap();
            assert!(!told.contains(" 200 "), "{told}");
        }
    }
    server.stop().await;
}

#[actix_web::test]
async fn http2_is_refused_with_an_http2_error() {
    let server = Server::start(quick());
    let mut stream = server.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let told = rest(&mut stream).await;
    let (settings, goaway) = told.split_at(9);
    assert_eq!(settings, b"\0\0\0\x04\0\0\0\0\0");
    let length = usize::from(goaway[2]);
    assert_eq!((goaway[3], goaway.len()), (7, 9 + length));
    assert_eq!(goaway[13..17], [0, 0, 0, 13], "HTTP_1_1_REQUIRED");
    assert!(String::from_utf8_lossy(&goaway[17..]).contains("use HTTP/1.1"));
    server.stop().await;
}

#[actix_web::test]
async fn bytes_that_are_no_http_are_refused_at_once() {
    let server = Server::start(HttpServer { head_timeout: LONG, keep_alive: LONG, ..quick() });
    let began = Instant::now();
    let mut stream = server.connect().await;
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaa").await.unwrap();
    assert!(rest(&mut stream).await.starts_with(b"HTTP/1.1 400 "));
    assert!(began.elapsed() < LONG / 2);
    server.stop().await;
}

#[actix_web::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(quick());
    let mut stream = server.connect().await;
    let chunked = b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                    6;a=b\r\nchunks\r\n0\r\nx: y\r\n\r\n";
    let all = [GET, POST, chunked, GET].concat();
    // However the bytes are split.
    for step in [1, 7, 64, all.len()] {
        for part in all.chunks(step) {
            stream.write_all(part).await.unwrap();
            stream.flush().await.unwrap();
            rt::task::yield_now().await;
        }
        for body in ["fast", "hello", "chunks", "fast"] {
            let mut bytes = Vec::new();
            while !bytes.ends_with(body.as_bytes()) {
                let byte = timeout(LONG, stream.read_u8()).await.unwrap().unwrap();
                bytes.push(byte);
            }
            assert!(bytes.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&bytes));
        }
    }
    let long = "x".repeat(200_000);
    stream.write_all(&offering_h2c(&long)).await.unwrap();
    assert_eq!(answer(&mut stream).await.1, long);
    server.stop().await;
}

#[actix_web::test]
async fn a_method_that_is_not_allowed_gets_405_with_the_allowed_ones() {
    let server = Server::start(quick());
    let mut stream = server.connect().await;
    stream.write_all(b"DELETE /echo HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (head, _) = answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 405") && head.contains("allow: post"), "{head}");
    server.stop().await;
}

/// What twelve callers observed while the server stopped.
#[derive(Default)]
struct Met {
    answered: AtomicUsize,
    told_to_close: AtomicUsize,
    lost: Mutex<Vec<String>>,
}

/// Asks over kept connections until the server takes no more.
async fn call_until_refused(address: SocketAddr, met: Arc<Met>) {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else { return };
        loop {
            let mut bytes = Vec::new();
            let asked = async {
                stream.write_all(POST).await?;
                while !bytes.ends_with(b"hello") {
                    if stream.read_buf(&mut bytes).await? == 0 {
                        return Err(std::io::Error::other("closed"));
                    }
                }
                Ok(())
            };
            if let Err(error) = asked.await {
                met.lost.lock().push(error.to_string());
                break;
            }
            met.answered.fetch_add(1, Ordering::Relaxed);
            if String::from_utf8_lossy(&bytes).to_lowercase().contains("connection: close") {
                met.told_to_close.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
    }
}

#[actix_web::test]
async fn no_request_is_lost_while_the_server_stops() {
    for _ in 0..5 {
        let server = Server::start(HttpServer {
            workers: Some(2),
            drain_delay: Duration::from_millis(200),
            ..quick()
        });
        let met = Arc::new(Met::default());
        let callers: Vec<_> = (0..12)
            .map(|_| rt::spawn(call_until_refused(server.address, Arc::clone(&met))))
            .collect();
        while met.answered.load(Ordering::Relaxed) < 200 {
            rt::time::sleep(Duration::from_millis(1)).await;
        }
        let mut idle = server.connect().await;
        idle.write_all(GET).await.unwrap();
        answer(&mut idle).await;
        server.stop().await;
        // Idle connections end with it, without a word.
        assert_eq!(rest(&mut idle).await, b"");
        for caller in callers {
            timeout(LONG, caller).await.unwrap().unwrap();
        }
        let lost = met.lost.lock();
        assert!(lost.is_empty(), "{lost:?} of {:?}", met.answered);
        assert!(met.told_to_close.load(Ordering::Relaxed) >= 12, "{:?}", met.told_to_close);
    }
}
