//! Requests that try to exhaust memory: the peak stays below the limits of docs/deploy.md.

use std::{
    fs,
    io::{Cursor, Write},
    net::{Shutdown, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use image::{DynamicImage, ImageFormat};
use plugrank_contract::image_limits::MAX_DECODED_BYTES;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    e2e::site::{Site, repository},
    fleet::{Fleet, Process, peers},
};

/// `server.body_memory_mb`, its default.
const BODIES: u64 = 512 << 20;
/// Decodes at a time: two at the gateway, and one thread that encodes.
const DECODES: u64 = 3;
/// What the allocator keeps for the next request, and what a connection holds without a body.
const ALLOCATOR: u64 = 96 << 20;

/// What a process takes, in bytes: now, or at most since the last [`forget_peak`].
fn memory(pid: u32, of: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
    let kib: u64 = line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse().unwrap();
    kib << 10
}

fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Runs an attack and bounds what the process took at most beyond what it has at rest.
async fn bounded<T>(
    what: &str,
    pid: u32,
    rest: u64,
    most: u64,
    attack: impl Future<Output = T>,
) -> T {
    let (answer, _) = measured(what, pid, rest, most, attack).await;
    answer
}

/// The same, returning the peak: an attack that is refused before it begins would prove nothing.
async fn measured<T>(
    what: &str,
    pid: u32,
    rest: u64,
    most: u64,
    attack: impl Future<Output = T>,
) -> (T, u64) {
    forget_peak(pid);
    let answer = attack.await;
    let more = memory(pid, "VmHWM").saturating_sub(rest);
    println!("{what}: {} MiB more at most, of {} allowed", more >> 20, most >> 20);
    assert!(more <= most, "{what}: {} MiB more than at rest", more >> 20);
    (answer, more)
}

/// A call of the Open Inference Protocol for the shipped model: two candidates, and outputs as named.
fn infer(outputs: &Value) -> Vec<u8> {
    let manifest = fs::read(repository("models/simshop/bundle/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let inputs = manifest["graphs"]["unified"]["inputs"].as_array().unwrap().iter().map(|input| {
        let shape: Vec<u64> = input["shape"]
            .as_array()
            .unwrap()
            .iter()
            .map(|size| {
                let named = |name: &str| match name {
                    "candidates" => 2,
                    _ => 1,
                };
                size.as_u64().unwrap_or_else(|| named(size.as_str().unwrap()))
            })
            .collect();
        let whole = input["dtype"] == "i64";
        let datatype = match input["dtype"].as_str().unwrap() {
            "i64" => "INT64",
            "f16" => "FP16",
            _ => "FP32",
        };
        let values = shape.iter().product::<u64>() as usize;
        let data = if whole { vec![json!(0); values] } else { vec![json!(0.1); values] };
        json!({"name": input["name"], "shape": shape, "datatype": datatype, "data": data})
    });
    let inputs: Vec<Value> = inputs.collect();
    serde_json::to_vec(&json!({"inputs": inputs, "outputs": outputs})).unwrap()
}

/// By the program of that name, which is on every system that has a shell.
fn gzip(bytes: Vec<u8>) -> Vec<u8> {
    let gzip = Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut gzip = gzip.unwrap();
    let mut to = gzip.stdin.take().unwrap();
    let writing = thread::spawn(move || to.write_all(&bytes).unwrap());
    let output = gzip.wait_with_output().unwrap();
    writing.join().unwrap();
    output.stdout
}

const INFER: &str = "/v2/models/unified/infer";

async fn post(site: &Site, body: Vec<u8>, encoding: Option<&'static str>) -> StatusCode {
    let mut request = site.post(INFER).header("content-type", "application/json").body(body);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn repeated_outputs_and_decompressed_bodies_stay_within_body_memory() {
    let mut site = Site::start().await;
    let pid = site.pid();
    assert_eq!(post(&site, infer(&json!([{"name": "logit"}])), None).await, StatusCode::OK);
    let rest = memory(pid, "VmRSS");
    let most = BODIES + ALLOCATOR;
    let repeated = infer(&json!(vec![json!({"name": "logit"}); 300_000]));
    let small = gzip(repeated.clone());
    println!("{} bytes, {} on the wire", repeated.len(), small.len());
    for (body, encoding) in [(repeated, None), (small, Some("gzip"))] {
        let what = format!("300,000 times the same output, {}", encoding.unwrap_or("plain"));
        let status = bounded(&what, pid, rest, most, post(&site, body, encoding)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{what}");
    }
    let blown = gzip(vec![b' '; 512 << 20]);
    let what = "512 MiB of spaces by gzip";
    let status = bounded(what, pid, rest, most, post(&site, blown, Some("gzip"))).await;
    // Whichever of its limits it comes to first.
    let refusals = [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT];
    assert!(refusals.contains(&status), "{what}: {status}");
    assert!(site.alive());
}

#[tokio::test]
async fn unfinished_uploads_time_out_and_stay_within_body_memory() {
    let mut site = Site::start_with("server.client_timeout_ms = 500").await;
    let (pid, address) = (site.pid(), site.url("").replace("http://", ""));
    let rest = memory(pid, "VmRSS");
    let upload = move || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!(
            "POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            64 << 20
        );
        stream.write_all(head.as_bytes()).unwrap();
        let part = vec![b' '; 1 << 20];
        for _ in 0..63 {
            // Refused while it is sent: fine too.
            if stream.write_all(&part).is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        let _ = stream.shutdown(Shutdown::Both);
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    };
    let attack = async {
        let uploads: Vec<_> =
            (0..16).map(|_| tokio::task::spawn_blocking(upload.clone())).collect();
        let mut answers = Vec::new();
        for upload in uploads {
            answers.push(upload.await.unwrap());
        }
        answers
    };
    let what = "16 uploads of 64 MiB that stop at 63";
    let (answers, more) = measured(what, pid, rest, BODIES + ALLOCATOR, attack).await;
    // However slowly they came: as much as one whole was there.
    assert!(more >= 63 << 20, "{what}: {} MiB more at most", more >> 20);
    println!("{answers:?}");
    let refused = |answer: &String| {
        answer.is_empty() || ["408", "429"].iter().any(|status| answer.contains(status))
    };
    assert!(answers.iter().all(refused), "{answers:?}");
    assert!(site.alive());
    assert_eq!(site.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn concurrent_image_decodes_stay_within_their_memory_limit() {
    let mut site = Site::start_with("embedding.encode_threads = 1").await;
    let pid = site.pid();
    let rest = memory(pid, "VmRSS");
    // Just below the limit of pixels, and twice a byte above what a decode may take.
    for (name, picture, status) in [
        ("RGB of 7,000 x 7,000", DynamicImage::new_rgb8(7_000, 7_000), 200..=201),
        ("RGBA of 16 bits and 7,000 x 7,000", DynamicImage::new_rgba16(7_000, 7_000), 400..=400),
    ] {
        let mut png = Cursor::new(Vec::new());
        picture.write_to(&mut png, ImageFormat::Png).unwrap();
        drop(picture);
        let picture =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, png.get_ref());
        let item = json!({"title": "large", "categories": ["c"], "image": picture});
        let attack = async {
            let puts = (0..5).map(|number| {
                let path = site.url(&format!("/v1/items/large-{number}"));
                site.http.put(path).json(&item).send()
            });
            futures::future::join_all(puts).await
        };
        let most = BODIES + DECODES * MAX_DECODED_BYTES + ALLOCATOR;
        let what = format!("5 pictures at a time, {name}");
        let (answers, more) = measured(&what, pid, rest, most, attack).await;
        let found: Vec<u16> =
            answers.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
        println!("{what}: {found:?}");
        // A debug build decodes so slowly that others hear of the item too late.
        let known = |found: &u16| status.contains(found) || [429, 503].contains(found);
        assert!(found.iter().all(known), "{what}: {found:?}");
        if status.contains(&200) {
            // What is decoded once it is let in takes as much as a picture; all were, but for 429.
            let picture = 3 * 7_000 * 7_000;
            assert!(found.iter().any(|found| *found != 429), "{what}: {found:?}");
            assert!(more >= picture, "{what}: {} MiB more at most", more >> 20);
        }
    }
    assert!(site.alive());
}

/// Bodies that are as large as a role takes them, and become larger when they are read.
#[tokio::test]
async fn calls_with_millions_of_ids_stay_within_body_memory() {
    let fleet = Fleet::start().await;
    let embedding = fleet.start_role("embedding", "").await;
    let near = peers(&[&embedding]);
    let parts = ["retrieval", "scoring", "reranking"].map(|role| fleet.spawn(role, &near));
    for part in &parts {
        part.ready(&fleet.http).await;
    }
    let [retrieval, scoring, reranking] = &parts;
    let calls: [(&Process, &[&str]); 4] = [
        (&embedding, &["embedding/fetch", "embedding/fetch-vectors", "embedding/invalidate"]),
        (retrieval, &["retrieval/retrieve", "retrieval/observe-events", "retrieval/refresh-items"]),
        (scoring, &["scoring/score", "scoring/infer"]),
        (reranking, &["reranking/rerank"]),
    ];
    // 60,000,000 as postcard writes it, then as many empty texts; and behind a user, 50,000,000.
    let list = [&[0x80, 0x8e, 0xce, 0x1c][..], &vec![0; 60_000_000]].concat();
    let of_user = [&b"\x02u1\x80\xe1\xeb\x17"[..], &vec![0; 50_000_000]].concat();
    let zeros = vec![0; 60 << 20];
    let small = gzip(vec![0; 256 << 20]);
    for (role, paths) in calls {
        let (pid, rest) = (role.pid(), memory(role.pid(), "VmRSS"));
        for path in paths {
            for (name, body, encoding) in [
                ("60 million empty ids", &list, None),
                ("a user and 50 million empty ids", &of_user, None),
                ("60 MiB of zeros", &zeros, None),
                ("256 MiB of zeros by gzip", &small, Some("gzip")),
            ] {
                let call = async {
                    let url = role.url(&format!("/rpc/v1/{path}"));
                    let mut call = fleet.http.post(url).body(body.clone());
                    call = call.header("content-type", "application/vnd.plugrank.postcard");
                    if let Some(encoding) = encoding {
                        call = call.header("content-encoding", encoding);
                    }
                    call.send().await.unwrap().status()
                };
                let what = format!("{path}: {name}");
                let status = bounded(&what, pid, rest, BODIES + ALLOCATOR, call).await;
                assert!(status.is_client_error(), "{what}: {status}");
            }
        }
        let ready = fleet.http.get(role.url("/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), StatusCode::OK, "{}", role.role);
    }
}
