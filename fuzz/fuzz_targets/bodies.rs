//! Bodies of the REST API: any bytes are a request or a problem that names a field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugrank_gateway::fuzzing;

fuzz_target!(|body: &[u8]| fuzzing::read_body(body));
