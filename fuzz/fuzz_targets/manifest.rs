//! Manifests of bundles: any text is a manifest whose rules hold, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugrank_bundle::Manifest;

fuzz_target!(|text: &str| {
    if let Ok(manifest) = Manifest::parse(text) {
        let written = serde_json::to_string(&manifest).expect("a manifest can be written");
        Manifest::parse(&written).expect("and read again");
    }
});
