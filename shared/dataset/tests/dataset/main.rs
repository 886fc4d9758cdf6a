//! The dataset folder, read and written through the public API.

mod cases;
#[cfg(test)]
mod common;
mod foreign_writers;
mod images;
mod round_trip;
mod schemas;
