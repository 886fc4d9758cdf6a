//! What `plugrank top` shows.

mod figures;
mod scrape;

pub use figures::Figures;
pub use scrape::Scrape;
