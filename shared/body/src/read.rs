//! Reading a body.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    dev::{Decompress, Payload},
    http::header,
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::memory::{BodyMemory, HeldMemory, NoRoom};

/// Bytes a second that a client must send besides: a large body may take longer than a small one, and
/// one that trickles in does not hold its memory for long.
const LEAST_RATE: u32 = 8 << 20;

/// How bodies may be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encodings {
    /// As they are. One that is compressed is refused.
    Identity,
    /// Compressed by gzip or deflate too. The limits are those of what comes out.
    Compressed,
}

/// How the bodies of a path are read; part of its `app_data`.
#[derive(Clone, Debug)]
pub struct BodyReader {
    /// Largest body, in bytes.
    pub max_bytes: usize,
    /// How long a client may take, and a second more for each 8 MiB that it has sent.
    pub time: Duration,
    /// Bytes of memory that a byte of the body takes once it is parsed, the body included.
    pub weight: usize,
    /// Whether they may be compressed.
    pub encodings: Encodings,
    /// What the bodies of all requests may take.
    pub memory: BodyMemory,
}

/// A body that was read, and the memory that it holds until it is dropped.
#[derive(Debug)]
pub struct Body {
    /// The body.
    pub bytes: Bytes,
    /// Its memory; what it is parsed into may be more.
    pub held: HeldMemory,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is compressed, or in a way that is not known.
    #[error("content-encoding is {0:?}")]
    Encoding(String),
    /// It is larger than the path takes.
    #[error("the body may be {limit} bytes long at most; send less at a time")]
    TooLarge {
        /// The most, in bytes.
        limit: usize,
    },
    /// It did not come in time.
    #[error("the body was not complete within {0:?}; send it at once")]
    TooSlow(Duration),
    /// Other bodies take all the memory there is for them.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// It ended early, or is not what its headers say.
    #[error("the body cannot be read: {0}")]
    Broken(String),
}

impl BodyReader {
    /// Largest body, in bytes: what the path takes, where the memory for all bodies allows for it.
    fn limit(&self) -> usize {
        self.max_bytes.min(self.memory.limit() / self.weight.max(1))
    }

    /// Refuses what the headers already give away, before any of the body is read.
    ///
    /// # Errors
    /// As [`BodyError`] says.
    pub fn check_head(&self, request: &HttpRequest) -> Result<(), BodyError> {
        let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
        let encoding = text(header::CONTENT_ENCODING).unwrap_or("identity");
        let among = |known: &[&str]| known.iter().any(|one| encoding.eq_ignore_ascii_case(one));
        let compressed = !among(&["identity"]);
        let known = self.encodings == Encodings::Compressed && among(&["gzip", "deflate"]);
        if compressed && !known {
            return Err(BodyError::Encoding(encoding.to_owned()));
        }
        let stated = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let stated = usize::try_from(stated.unwrap_or(0)).unwrap_or(usize::MAX);
        let limit = self.limit();
        if stated > limit {
            return Err(BodyError::TooLarge { limit });
        }
        Ok(self.memory.has_room(stated.saturating_mul(self.weight))?)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// As [`BodyError`] says.
    pub async fn read(&self, request: &HttpRequest, payload: Payload) -> Result<Body, BodyError> {
        self.check_head(request)?;
        match self.encodings {
            Encodings::Identity => self.collect(payload).await,
            Encodings::Compressed => {
                self.collect(Decompress::from_headers(payload, request.headers())).await
            }
        }
    }

    async fn collect<E: std::fmt::Display>(
        &self,
        mut parts: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Body, BodyError> {
        let limit = self.limit();
        let mut held = self.memory.hold();
        let mut whole = BytesMut::new();
        let mut first = None;
        let begun = Instant::now();
        loop {
            let read = first.as_ref().map_or(0, Bytes::len) + whole.len();
            let allowed = self.time + Duration::from_secs_f64(read as f64 / f64::from(LEAST_RATE));
            let next = timeout_at(begun + allowed, parts.next()).await;
            let Some(part) = next.map_err(|_| BodyError::TooSlow(allowed))? else { break };
            let part = part.map_err(|error| BodyError::Broken(error.to_string()))?;
            if read + part.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            held.grow(part.len().saturating_mul(self.weight))?;
            // Most bodies are one part, and need no copy.
            match first.take() {
                None if whole.is_empty() => first = Some(part),
                before => {
                    whole.extend_from_slice(&before.unwrap_or_default());
                    whole.extend_from_slice(&part);
                }
            }
        }
        let bytes = first.unwrap_or_else(|| whole.freeze());
        Ok(Body { bytes, held })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use futures::stream;

    use super::*;

    fn reader(max_bytes: usize, memory: &BodyMemory) -> BodyReader {
        BodyReader {
            max_bytes,
            time: Duration::from_secs(5),
            weight: 1,
            encodings: Encodings::Identity,
            memory: memory.clone(),
        }
    }

    fn parts(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, String>> + Unpin {
        let parts: Vec<_> = sizes.iter().map(|size| Ok(vec![7; *size].into())).collect();
        stream::iter(parts)
    }

    #[tokio::test]
    async fn a_body_reserves_memory_until_it_is_dropped() {
        let memory = BodyMemory::new(1 << 20);
        let reader = reader(1 << 20, &memory);
        let first = reader.collect(parts(&[100_000, 300_000, 400_000])).await.unwrap();
        assert_eq!(first.bytes.len(), 800_000);
        let second = reader.collect(parts(&[400_000])).await;
        assert!(matches!(second, Err(BodyError::NoRoom(_))), "{second:?}");
        drop(first);
        assert_eq!(reader.collect(parts(&[400_000])).await.unwrap().bytes.len(), 400_000);
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn a_body_is_cut_off_at_the_limit_despite_its_content_length() {
        let memory = BodyMemory::new(1 << 20);
        let read = reader(1000, &memory).collect(parts(&[600, 600])).await;
        assert!(matches!(read, Err(BodyError::TooLarge { limit: 1000 })), "{read:?}");
        let reader = BodyReader { weight: 4, ..reader(1 << 20, &memory) };
        let read = reader.collect(parts(&[300_000])).await;
        assert!(matches!(read, Err(BodyError::TooLarge { limit: 262_144 })), "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_too_slowly_times_out() {
        let memory = BodyMemory::new(64 << 20);
        let reader = reader(64 << 20, &memory);
        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, String>(Bytes::from_static(&[7; 1000])), ()))
        });
        let begun = Instant::now();
        let read = reader.collect(Box::pin(trickle)).await;
        assert!(matches!(read, Err(BodyError::TooSlow(_))), "{read:?}");
        assert!((5..6).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        // A large one has the time that its size takes.
        let steady = stream::unfold(0, |sent| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            (sent < 60).then(|| (Ok::<_, String>(Bytes::from(vec![7; 1 << 20])), sent + 1))
        });
        assert_eq!(reader.collect(Box::pin(steady)).await.unwrap().bytes.len(), 60 << 20);
    }

    #[tokio::test]
    async fn requests_that_will_be_refused_are_recognised_by_their_head() {
        let memory = BodyMemory::new(1 << 20);
        let plain = reader(1000, &memory);
        let zipped = BodyReader { encodings: Encodings::Compressed, ..plain.clone() };
        let head = |name: &'static str, value: &'static str| {
            TestRequest::default().insert_header((name, value)).to_http_request()
        };
        let gzip = head("content-encoding", "gzip");
        assert!(matches!(plain.check_head(&gzip), Err(BodyError::Encoding(_))));
        assert!(zipped.check_head(&gzip).is_ok());
        let other = head("content-encoding", "br");
        assert!(matches!(zipped.check_head(&other), Err(BodyError::Encoding(_))));
        assert!(plain.check_head(&head("content-encoding", "Identity")).is_ok());
        let long = head("content-length", "1001");
        assert!(matches!(plain.check_head(&long), Err(BodyError::TooLarge { limit: 1000 })));
        let mut held = memory.hold();
        held.grow(1 << 20).unwrap();
        held.grow(60 << 10).unwrap();
        let wide = reader(1 << 20, &memory);
        let room = wide.check_head(&head("content-length", "200000"));
        assert!(matches!(room, Err(BodyError::NoRoom(_))), "{room:?}");
        assert!(wide.check_head(&head("content-length", "60000")).is_ok());
    }

    #[tokio::test]
    async fn the_decompressed_size_of_a_body_is_limited() {
        // A mebibyte of spaces by gzip, 1 KiB on the wire.
        let zeros = include_bytes!("../tests/spaces.gz");
        let memory = BodyMemory::new(8 << 20);
        let read = async |max_bytes| {
            let request = TestRequest::default().insert_header(("content-encoding", "gzip"));
            let (request, payload) = request.set_payload(&zeros[..]).to_http_parts();
            let encodings = Encodings::Compressed;
            BodyReader { encodings, ..reader(max_bytes, &memory) }.read(&request, payload).await
        };
        assert_eq!(read(1 << 20).await.unwrap().bytes.len(), 1 << 20);
        assert!(matches!(read(1 << 19).await, Err(BodyError::TooLarge { .. })));
    }
}
