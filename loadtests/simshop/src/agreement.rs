//! Whether what an experiment concluded is true.

use serde::Serialize;
use serde_json::Value;

/// True worth of an arm.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ArmTruth {
    /// Name.
    pub arm: String,
    /// Lists that it served in the experiment.
    pub lists: usize,
    /// Clicks that those lists truly get, on average.
    pub served: f64,
    /// Clicks that a list of this arm truly gets, on average over all visits of all shoppers, those whom another arm
    /// was shown among them; where the server lets requests name their arm.
    pub everyone: Option<f64>,
    /// Clicks that were drawn.
    pub clicks: usize,
}

/// What was concluded of an arm against the control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// The whole interval at every look is above 0.
    Better,
    /// It is below.
    Worse,
    /// Neither.
    Open,
    /// The sample ratio is broken, or users were in several arms.
    Hidden,
}

/// What an experiment found of an arm's clicks for each list shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// The arm.
    pub arm: String,
    /// Whether it is less what behaviour before the experiment explains.
    pub cuped: bool,
    /// The lift over the control.
    pub lift: Option<f64>,
    /// Its interval at every look.
    pub interval: Option<[f64; 2]>,
}

impl Found {
    /// Of each arm but the control, from what `GET /v1/experiments/NAME/results` says; none where it hides them.
    pub(crate) fn read(results: &Value) -> Vec<Self> {
        let metrics = results["metrics"].as_array().into_iter().flatten();
        let of_clicks = metrics.filter(|one| one["metric"] == "click/exposure");
        let found = of_clicks.map(|one| {
            let cuped = one["cuped"].is_object();
            let compared = &one[if cuped { "cuped" } else { "plain" }];
            let interval = &compared["always_valid_lift_interval"];
            let ends = || Some([interval["low"].as_f64()?, interval["high"].as_f64()?]);
            let arm = one["arm"].as_str().unwrap_or_default().to_owned();
            Self { arm, cuped, lift: compared["lift"].as_f64(), interval: ends() }
        });
        found.collect()
    }
}

/// An experiment beside the truth.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// Its name.
    pub experiment: String,
    /// The truth of each arm, the control first.
    pub truth: Vec<ArmTruth>,
    /// The true lift of the other arm.
    pub true_lift: f64,
    /// What the experiment estimated.
    pub lift: Option<f64>,
    /// Whether that is less what behaviour before the experiment explains.
    pub cuped: bool,
    /// Its interval at every look.
    pub interval: Option<[f64; 2]>,
    /// What it concluded.
    pub conclusion: Conclusion,
    /// Whether that is so.
    pub agrees: bool,
}

impl Agreement {
    /// Compares. `matters` is the lift from which on a difference is to be found: below it, finding none is
    /// right too.
    pub(crate) fn new(
        experiment: &str,
        truth: Vec<ArmTruth>,
        results: &Value,
        matters: f64,
    ) -> Self {
        let worth = |arm: &ArmTruth| arm.everyone.unwrap_or(arm.served);
        let true_lift = match &truth[..] {
            [control, arm, ..] if worth(control) > 0.0 => worth(arm) / worth(control) - 1.0,
            _ => 0.0,
        };
        let found = Found::read(results).into_iter().next();
        let cuped = found.as_ref().is_some_and(|found| found.cuped);
        let interval = found.as_ref().and_then(|found| found.interval);
        let conclusion = match interval {
            None => Conclusion::Hidden,
            Some([low, _]) if low > 0.0 => Conclusion::Better,
            Some([_, high]) if high < 0.0 => Conclusion::Worse,
            Some(_) => Conclusion::Open,
        };
        let agrees = match conclusion {
            Conclusion::Better => true_lift > 0.0,
            Conclusion::Worse => true_lift < 0.0,
            Conclusion::Open => true_lift.abs() < matters,
            Conclusion::Hidden => false,
        };
        let lift = found.and_then(|found| found.lift);
        Self {
            experiment: experiment.to_owned(),
            truth,
            true_lift,
            lift,
            cuped,
            interval,
            conclusion,
            agrees,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(true_clicks: f64, low: f64, high: f64) -> (Conclusion, bool) {
        let truth =
            |arm: &str, served| ArmTruth { arm: arm.to_owned(), served, ..ArmTruth::default() };
        let found = json!({"lift": 0.1, "always_valid_lift_interval": {"low": low, "high": high}});
        let metric = json!({"metric": "click/exposure", "plain": found, "cuped": null});
        let results = json!({"metrics": [metric]});
        let truth = vec![truth("idrec", 2.0), truth("ppm", true_clicks)];
        let outcome = Agreement::new("e", truth, &results, 0.03);
        (outcome.conclusion, outcome.agrees)
    }

    #[test]
    fn a_conclusion_is_compared_with_the_true_lift() {
        assert_eq!(outcome(2.2, 0.05, 0.15), (Conclusion::Better, true));
        assert_eq!(outcome(1.9, 0.05, 0.15), (Conclusion::Better, false));
        assert_eq!(outcome(1.9, -0.15, -0.05), (Conclusion::Worse, true));
        assert_eq!(
            outcome(2.2, -0.05, 0.25),
            (Conclusion::Open, false),
            "it should have been found"
        );
        assert_eq!(outcome(2.02, -0.05, 0.25), (Conclusion::Open, true));
        let hidden = Agreement::new("e", Vec::new(), &json!({"metrics": []}), 0.03);
        assert_eq!((hidden.conclusion, hidden.agrees), (Conclusion::Hidden, false));
    }
}
