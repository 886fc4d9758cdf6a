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
mod round;
mod shop;
mod shop_client;
mod shoppers;
mod thresholds;
mod traffic;
mod truth;
mod weights;
mod words;

pub use agreement::{Agreement, ArmTruth, Conclusion, Found};
pub use closed_loop::{Browsing, closed_loop, idrec_against_ppm, three_ways};
pub use day::{Day, DayReport, day};
pub use describe::{Description, describe};
pub use exchange::{Exchange, ExchangePhase, exchange};
pub use generate::{Generated, generate};
pub use plan::ShopPlan;
pub use round::{Round, RoundArm, RoundReport, round};
pub use shop_client::ShopServer;
pub use truth::{ShopTruth, ShopperTruth, truth};
