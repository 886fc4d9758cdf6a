//! Calls between roles: any bytes are a call or refused, in bounded memory; what was read is written and
//! read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugrank_body::BodyMemory;
use plugrank_contract::{
    Call,
    embedding::{Fetch, FetchVectors, Invalidate},
    loading::{CheckBundle, LoadBundle},
    reranking::Rerank,
    retrieval::{ObserveEvents, RefreshItems, Retrieve, Similar},
    scoring::{CheckFeatures, Infer, Score},
};
use plugrank_transport::{fuzzing, wire};

/// Most that a call may take, in bytes: less than a server allows, so that fuzzing is fast.
const MEMORY: usize = 64 << 20;

fn check<C: Call>(body: &[u8]) {
    let memory = BodyMemory::new(MEMORY);
    let mut held = memory.hold();
    let Some(call) = fuzzing::decode::<C>(body, &mut held) else { return };
    let written = wire::encode(&call).expect("a call that was read can be written");
    let again = fuzzing::decode::<C>(&written, &mut memory.hold()).expect("and read again");
    assert_eq!(wire::encode(&again).expect("as before"), written);
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, body)) = input.split_first() else { return };
    match kind % 13 {
        0 => check::<Retrieve>(body),
        1 => check::<ObserveEvents>(body),
        2 => check::<RefreshItems>(body),
        3 => check::<Fetch>(body),
        4 => check::<FetchVectors>(body),
        5 => check::<Invalidate>(body),
        6 => check::<Score>(body),
        7 => check::<Infer>(body),
        8 => check::<Rerank>(body),
        9 => check::<Similar>(body),
        10 => check::<CheckFeatures>(body),
        11 => check::<CheckBundle>(body),
        _ => check::<LoadBundle>(body),
    }
});
