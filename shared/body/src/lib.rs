//! Request bodies within limits of size, time and memory.
//!
//! A server reads a body only here. Each path says how large its bodies may be, how long a client may
//! take, and how much memory a byte of them costs once it is parsed; what all requests of the process
//! hold at a time is one sum, [`BodyMemory`]. What finds no room there is refused before it is read.

mod memory;
mod read;

pub use memory::{BodyMemory, HeldMemory, NoRoom};
pub use read::{Body, BodyError, BodyReader, Encodings};
