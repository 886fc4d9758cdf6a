//! Allocations of a rank request.
//!
//! Alone in its process: the counts are the whole process's. The server is the real one; the client
//! is a socket and two buffers. Served lists are not logged: that is done off the request path, and
//! would be counted.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    alloc::System,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use clap::Parser;
use plugrank::{cli::Cli, commands};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Most allocations of a request, whatever the number of its candidates. About 15 of them are the HTTP
/// library's. Running it in two halves, where that pays on a machine, costs some 18 more, and is left out here: whether
/// it does goes by how long the model takes.
const MOST: f64 = 100.0;
const REQUESTS: usize = 200;
const ROUNDS: usize = 5;

/// The server, in this process; it ends with it.
fn serve(config: &str) {
    let cli = Cli::parse_from(["plugrank", "serve", "--config", config]);
    if let Err(failure) = commands::run(cli) {
        panic!("plugrank serve: {}", failure.message);
    }
}

/// A request for `candidates` items of the shop, or for retrieved ones, as it goes over the wire.
fn request(user: usize, candidates: usize) -> Vec<u8> {
    let mut body = format!("{{\"user_id\":\"u{user}\",\"k\":20");
    if candidates > 0 {
        let ids: Vec<String> = (0..candidates).map(|n| format!("\"i{}\"", n + 1)).collect();
        write!(body, ",\"candidates\":[{}]", ids.join(",")).unwrap();
    }
    body.push('}');
    let head = format!(
        "POST /v1/rank HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Sends a request and reads the whole answer into `buffer`; its length.
fn exchange(socket: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> usize {
    socket.write_all(request).unwrap();
    let mut filled = 0;
    loop {
        let read = socket.read(&mut buffer[filled..]).unwrap();
        assert!(read > 0, "the server closed the connection");
        filled += read;
        if let Some(length) = whole_length(&buffer[..filled])
            && filled >= length
        {
            return filled;
        }
    }
}

/// Length of an answer by its head, once that is there.
fn whole_length(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some(head.len() + 4 + length.parse::<usize>().ok()?)
}

/// Allocations and reallocations a request, on average over a round.
fn allocations(socket: &mut TcpStream, candidates: usize) -> f64 {
    let requests: Vec<Vec<u8>> = (1..=20).map(|user| request(user, candidates)).collect();
    let mut buffer = vec![0; 1 << 16];
    // The first ones fill caches and grow what is kept.
    for request in requests.iter().cycle().take(REQUESTS) {
        let length = exchange(socket, request, &mut buffer);
        let answer = String::from_utf8_lossy(&buffer[..length]);
        assert!(answer.contains("\"rung\":\"full\""), "{answer}");
    }
    // What the process does by itself in that time is counted too, which on a busy machine is more:
    // the quietest round counts.
    let round = || {
        let region = Region::new(ALLOCATOR);
        for request in requests.iter().cycle().take(REQUESTS) {
            exchange(socket, request, &mut buffer);
        }
        let counted = region.change();
        (counted.allocations + counted.reallocations) as f64 / REQUESTS as f64
    };
    std::iter::repeat_with(round).take(ROUNDS).fold(f64::INFINITY, f64::min)
}

#[test]
fn a_request_allocates_little_and_no_more_for_more_candidates() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.path().join("plugrank.toml");
    let settings = format!(
        "[server]\nbind = \"127.0.0.1:{port}\"\nworkers = 1\n\
         [store]\npath = {:?}\n[bundle]\npath = {:?}\n[budget]\ndefault_ms = 1000\n\
         ceiling_ms = 1000\n[exposures]\nlog = false\n[scoring]\nhalve_from_us = 0\n[telemetry]\nlog_level = \"warn\"\n",
        folder.path().join("store.redb"),
        root.join("models/simshop/bundle"),
    );
    fs::write(&config, settings).unwrap();
    let (config, dataset) = (config.display().to_string(), root.join("models/simshop/dataset"));
    // In a process of its own, as logging is set up once a process.
    let loaded = Command::new(env!("CARGO_BIN_EXE_plugrank"))
        .args(["load", "--config", &config, "--dataset"])
        .arg(dataset)
        .status();
    assert!(loaded.unwrap().success());
    std::thread::spawn(move || serve(&config));
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut socket = loop {
        if let Ok(socket) = TcpStream::connect(("127.0.0.1", port)) {
            break socket;
        }
        assert!(Instant::now() < deadline, "the server was not there in time");
        std::thread::sleep(Duration::from_millis(50));
    };
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let few = allocations(&mut socket, 50);
    let many = allocations(&mut socket, 500);
    let retrieved = allocations(&mut socket, 0);
    println!("allocations a request: {few} of 50, {many} of 500, {retrieved} retrieved");
    assert!(many <= MOST, "{many} for 500 candidates");
    // A list grows by doubling: ten times the candidates are a few more steps, not ten times as many.
    assert!(many - few <= 8.0, "{few} for 50 candidates, {many} for 500");
}
