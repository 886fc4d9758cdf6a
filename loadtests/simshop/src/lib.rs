//! A shop simulator with ground truth: makes dataset folders of any size whose true click
//! probabilities are known. `docs/simshop.md` states the model.

mod agreement;
mod catalog;
mod click_model;
mod closed_loop;
mod day;
mod describe;
mod dice;
mod exchange;
mod generate;
mod picture;
mod plan;
mod progress;
mod prose;
mod shop;
mod shop_client;
mod shoppers;
mod thresholds;
mod traffic;
mod truth;
mod weights;
mod words;

pub use agreement::{ArmTruth, Conclusion, Outcome};
pub use closed_loop::{Browsing, closed_loop, idrec_against_ppm};
pub use day::{Day, DayReport, day};
pub use describe::{Description, describe};
pub use exchange::{Exchange, Phase, exchange};
pub use generate::{Generated, generate};
pub use plan::Plan;
pub use truth::{ShopTruth, ShopperTruth, truth};
