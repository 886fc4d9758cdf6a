//! Statistics against values computed with SciPy 1.17.1 and NumPy, named beside each.

use plugrank_experiments::{
    AnalysisPlan,
    statistics::{
        Collector, Comparison, Estimate, Measure, Metric, Moments, Row, Schema, Sequential, power,
        sample_ratio, welch,
    },
};

/// Exposures, clicks, value, covariate of each unit.
const CONTROL: [[f64; 4]; 5] = [
    [4.0, 1.0, 1.5, 3.0],
    [2.0, 0.0, 0.0, 1.0],
    [6.0, 3.0, 4.0, 5.0],
    [3.0, 1.0, 2.0, 2.0],
    [5.0, 2.0, 2.5, 6.0],
];
const ARM: [[f64; 4]; 6] = [
    [5.0, 2.0, 3.5, 4.0],
    [3.0, 1.0, 1.0, 2.0],
    [6.0, 4.0, 6.0, 5.0],
    [2.0, 1.0, 2.5, 1.0],
    [4.0, 1.0, 1.0, 3.0],
    [7.0, 3.0, 5.5, 7.0],
];
const VALUE: Metric = Metric::PerUnit(Measure::Value);
const CLICKS: Metric = Metric::Ratio(Measure::Task(0), Measure::Exposures);

fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() <= 1e-9 * expected.abs(), "{got} is not {expected}");
}

fn moments(units: &[[f64; 4]]) -> Moments {
    let schema = Schema { arms: vec!["a".to_owned()], tasks: vec!["click".to_owned()] };
    let mut collector = Collector::new(schema);
    for (unit, [exposures, clicks, value, covariate]) in units.iter().enumerate() {
        let row = Row {
            exposures: *exposures,
            outcomes: vec![*clicks],
            value: *value,
            covariate: Some(*covariate),
            ..Row::default()
        };
        collector.add(0, &unit.to_string(), &row);
    }
    collector.collected().arms.remove(0)
}

fn estimates(metric: Metric) -> (Estimate, Estimate) {
    let estimate = |units| Estimate::new(&moments(units), metric).expect("there are units");
    (estimate(&CONTROL), estimate(&ARM))
}

/// `scipy.stats.ttest_ind([2, 1, 5, 7, 3, 9, 4], [1, 2, 4, 8, 16], equal_var=False)`.
#[test]
fn welchs_test_equals_scipy() {
    let estimate = |values: &[f64]| {
        let units: Vec<_> = values.iter().map(|value| [1.0, 0.0, *value, 0.0]).collect();
        Estimate::new(&moments(&units), VALUE).expect("there are units")
    };
    let control = estimate(&[1.0, 2.0, 4.0, 8.0, 16.0]);
    let arm = estimate(&[2.0, 1.0, 5.0, 7.0, 3.0, 9.0, 4.0]);
    let test = welch(&control, &arm, 0.05).expect("they vary");
    close(test.p, 0.570_519_443_286_353_2);
    close(test.freedom, 5.233_478_657_001_895);
    let compared = Comparison::new(&control, &arm, 0.05, &Sequential::new(0.05, 100));
    let interval = compared.expect("they vary").interval;
    close(interval.low, -9.199_451_975_252_817);
    close(interval.high, 5.656_594_832_395_674);
}

/// NumPy: `r = sum(y) / sum(x)`, `var = (var(y) - 2 r cov(y, x) + r^2 var(x)) / mean(x)^2 / n`.
#[test]
fn ratios_have_the_variance_of_the_delta_method() {
    let (control, arm) = estimates(CLICKS);
    close(control.value, 0.35);
    close(control.squared_error(), 0.004_765_625);
    close(arm.value, 4.0 / 9.0);
    close(arm.squared_error(), 0.004_226_997_916_984_201);
    let compared = Comparison::new(&control, &arm, 0.05, &Sequential::new(0.05, 100));
    let compared = compared.expect("they vary");
    let (lift, interval) = (compared.lift.expect("above 0"), compared.lift_interval.expect("so"));
    close(lift, 0.269_841_269_841_269_8);
    let quantile = (compared.interval.high - compared.difference) / compared.standard_error;
    close((interval.high - lift) / quantile, 0.311_828_749_713_123_85);
    close((lift - interval.low) / quantile, 0.311_828_749_713_123_85);
}

/// NumPy: `y - t (x - mean(x))` with `t = sum((n - 1) cov(y, x)) / sum((n - 1) var(x))`.
#[test]
fn cuped_removes_the_variance_explained_by_the_covariate() {
    let (control, arm) = estimates(VALUE);
    let (control, arm, reduction) = Estimate::cuped(&control, &arm).expect("it varies");
    close(control.value, 2.100_478_468_899_521_7);
    close(arm.value, 3.166_267_942_583_732);
    close(control.squared_error(), 0.179_133_483_379_501_38);
    close(arm.squared_error(), 0.298_340_835_641_735_9);
    close(reduction, 0.603_481_534_376_827_2);
}

/// `scipy.stats.chisquare`, and for every look the formula with `scipy.special.gammaln`.
#[test]
fn sample_ratio_tests_equal_scipy() {
    let p = |units: &[u64], shares: &[f64]| {
        let ratio = sample_ratio(units, shares).expect("two arms");
        (ratio.p, ratio.always_valid_p)
    };
    close(p(&[5_100, 4_900], &[0.5, 0.5]).0, 0.045_500_263_896_358_57);
    close(p(&[310, 180, 10], &[0.6, 0.36, 0.04]).0, 0.069_483_451_222_801_54);
    let log = |p: f64| p.ln();
    let near = |got: f64, expected: f64| assert!((got - expected).abs() < 1e-6, "{got} {expected}");
    near(log(p(&[5_300, 4_700], &[1.0, 1.0]).1), log(0.000_174_216_006_220_294));
    near(log(p(&[5_100, 4_900], &[1.0, 1.0]).1), log(0.520_231_912_528_444_3));
    let three = p(&[31_000, 18_000, 1_000], &[0.6, 0.36, 0.04]).1;
    near(log(three), log(1.295_271_050_275_466_3e-112));
    assert_eq!(p(&[0, 0], &[0.5, 0.5]), (1.0, 1.0), "nothing has come");
    assert_eq!(p(&[9, 9, 1], &[0.5, 0.5, 0.0]), (0.0, 0.0), "no unit was due in the third");
    assert!(sample_ratio(&[10], &[1.0]).is_none());
}

/// The mixture integrated with `scipy.integrate.quad`, and the interval's end with `brentq`.
#[test]
fn always_valid_inference_equals_the_integrated_mixture() {
    let sequential = Sequential::new(0.05, 20_000);
    let near = |got: f64, expected: f64| assert!((got / expected - 1.0).abs() < 1e-6, "{got}");
    near(sequential.p(3.0, 5_000), 0.086_696_842_034_749_77);
    near(sequential.p(2.5, 20_000), 0.186_328_445_439_827_9);
    near(sequential.p(-4.0, 100_000), 0.002_604_618_362_515_685_4);
    near(sequential.quantile(5_000), 3.264_293_371_826_645);
    near(sequential.quantile(20_000), 3.035_208_990_376_253);
    near(sequential.quantile(100_000), 3.153_030_438_672_905_3);
    for units in [1, 1_000, 20_000, 1_000_000] {
        near(sequential.p(sequential.quantile(units), units), 0.05);
    }
    assert!(sequential.p(0.0, 20_000) >= 1.0, "no difference is no evidence");
}

/// `scipy.stats.norm`: power, smallest lift and units of a comparison of known error.
#[test]
fn power_equals_that_of_two_normal_means() {
    let (control, arm) = estimates(VALUE);
    let mut compared =
        Comparison::new(&control, &arm, 0.05, &Sequential::new(0.05, 100)).expect("they vary");
    (compared.control, compared.standard_error, compared.units) = (0.1, 0.002, 10_000);
    let found =
        power(&compared, &AnalysisPlan::default(), Some(4.0)).expect("the control is above 0");
    close(found.now, 0.323_041_159_776_805_03);
    close(found.detectable_lift, 0.056_031_704_362_259_36);
    assert_eq!(found.units, 34_884);
    let days = found.days.expect("the pace is known");
    assert!((days - (34_884.0 - 1e4) * 4.0 / 1e4).abs() < 1e-3, "{days}");
    let sequential = Sequential::new(0.05, 20_000);
    let lift = |units: u64| {
        (sequential.quantile(units) + 0.841_621_233_572_914_3) * 0.002 * (1e4 / units as f64).sqrt()
    };
    assert!(lift(found.always_valid_units) <= 0.003 + 1e-9);
    assert!(lift(found.always_valid_units - 2) > 0.003);
}
