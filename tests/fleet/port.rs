//! Ports that stay free until they are used.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below what the kernel hands out to outgoing connections, so that a process that ends finds its
/// port free when it starts again.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// A port that nobody listens on, given once in this process.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test runs side by side begin elsewhere.
    let start = (std::process::id().wrapping_mul(2_654_435_761) >> 8) as u16;
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}
