//! Definitions and exposure files as a user of the command has them.

use std::{fs, path::Path, sync::Arc};

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};
use clap::Parser;
use parquet::arrow::ArrowWriter;
use plugrank_experiments::statistics::GuardrailVerdict;
use tempfile::TempDir;

use super::{analyse, args::ExperimentCommand, check, report};
use crate::cli::{Cli, Command};

const DEFINITION: &str = r#"
[[layers]]
name = "ranking"

[[experiments]]
name = "ppm"
layer = "ranking"
control = "idrec"
guardrails = [{ metric = "late", margin = 0.01 }]
plan = { lift = 0.1, units = 2000 }
arms = [
    { name = "unim", permille = 500, forced = ["tester"] },
    { name = "idrec", permille = 500 },
]
"#;

fn command(folder: &TempDir, line: &str) -> ExperimentCommand {
    let folder = folder.path().to_str().expect("it is text");
    let words = line.split(' ').map(|word| word.replace('@', &format!("{folder}/")));
    let words = ["plugrank".to_owned(), "experiment".to_owned()].into_iter().chain(words);
    match Cli::try_parse_from(words).expect("it is a command line").command {
        Command::Experiment(args) => args.command.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn checked(folder: &TempDir, line: &str) -> anyhow::Result<String> {
    match command(folder, line) {
        ExperimentCommand::Check(args) => check(&args),
        ExperimentCommand::Analyse(args) => Ok(report(&analyse(&args)?)),
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("there is a folder for temporary files");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("the file is written");
    }
    folder
}

/// Users 000 to 999, of whom the odd ones have the arm `unim` and click more.
fn exposures() -> String {
    let mut text = "user_id,arm,click,value,covariate,late,timestamp,forced\n".to_owned();
    for user in 0..1_000 {
        let odd = user % 2;
        let click = u8::from(user / 2 % 10 < 3 + 2 * odd);
        let late = u8::from(odd == 1 && user % 5 == 0);
        let arm = ["idrec", "unim"][odd];
        let covariate = user / 2 % 10;
        let time = 1_700_000_000_000_i64 + 172_800 * user as i64;
        text.push_str(&format!(
            "{user:03},{arm},{click},{}.5,{covariate},{late},{time},false\n",
            user % 7
        ));
    }
    text.push_str("tester,unim,1,100,0,0,1700000000000,true\n");
    text
}

#[test]
fn a_definition_is_printed_with_the_arms_of_users() {
    let folder = folder(&[("e.toml", DEFINITION)]);
    let text = checked(&folder, "check @e.toml --users u1,u2,tester").expect("it is good");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "ranking  ppm         0..1000  unim   50.0%");
    assert_eq!(lines[2], "ranking  ppm         0..1000  idrec  50.0%  control");
    assert!(lines[5].starts_with("u1      ppm/"), "{text}");
    assert_eq!(lines[7], "tester  ppm/unim (forced)");
}

#[test]
fn all_problems_of_a_definition_are_printed() {
    let bad = DEFINITION.replace("idrec\", permille = 500", "idrec\", permille = 400");
    let bad = bad.replace("layer = \"ranking\"", "layer = \"rankin\"\nowner = \"me\"");
    let other = DEFINITION.replace("control = \"idrec\"", "control = \"unim\"");
    let folder = folder(&[("bad.toml", &bad), ("e.toml", DEFINITION), ("other.toml", &other)]);
    let error = checked(&folder, "check @bad.toml").expect_err("it is bad").to_string();
    for part in ["owner: unknown field", "layer: there is no layer `rankin`", "900 together"] {
        assert!(error.contains(part), "{error}");
    }
    let error =
        checked(&folder, "check @other.toml --running @e.toml").expect_err("it moves units");
    assert!(error.to_string().contains("may not follow"), "{error}");
    checked(&folder, "check @e.toml --running @e.toml").expect("nothing changed");
}

#[test]
fn a_csv_file_is_analysed_with_power_and_guardrails() {
    let folder = folder(&[("e.csv", &exposures()), ("e.toml", DEFINITION)]);
    let text = checked(&folder, "analyse @e.csv --definition @e.toml --experiment ppm");
    let text = text.expect("it is good");
    for part in [
        "1000 rows, 1 left out",
        "unim     500  500        500    250",
        "sample ratio: p 1.000 at one look, 1.000 at every look",
        "click/exposure",
        "+66.67%",
        "CUPED, variance -",
        "value/unit",
        "power for +10.00%",
        "STOP the arm",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_parquet_file_gives_what_the_csv_file_gives() {
    let text = exposures();
    let folder = folder(&[("e.csv", &text)]);
    parquet(&text, &folder.path().join("e.parquet"));
    let analysis = |line: &str| match command(&folder, line) {
        ExperimentCommand::Analyse(args) => analyse(&args).expect("it is good"),
        ExperimentCommand::Check(_) => panic!("{line}"),
    };
    let csv = analysis("analyse @e.csv --control idrec");
    let parquet = analysis("analyse @e.parquet --control idrec");
    assert_eq!((csv.rows, csv.left_out), (parquet.rows, parquet.left_out));
    let days = |days: Option<f64>| days.expect("there are timestamps");
    assert!((days(csv.days) - days(parquet.days)).abs() < 1e-9 && days(csv.days) > 1.9);
    let (one, other) = (&csv.results.metrics[0].plain, &parquet.results.metrics[0].plain);
    assert!((one.p - other.p).abs() < 1e-12 && one.difference > 0.19);
    assert!(csv.results.guardrails.is_empty(), "no definition, no guardrails");

    let half = analysis("analyse @e.csv --control idrec --until 1700086400000");
    assert_eq!((half.rows, half.left_out), (500, 501));
    let json = serde_json::to_value(&half).expect("it is JSON");
    assert_eq!(json["sample_ratio"]["units"], serde_json::json!([250, 250]));
    assert_eq!(json["metrics"][0]["metric"], "click/exposure");
}

/// The table as pandas would write it: numbers, times in microseconds, truth values.
fn parquet(csv: &str, path: &Path) {
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let texts = |at: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row[at])))
    };
    let numbers = |at: usize| -> ArrayRef {
        let numbers = rows.iter().map(|row| row[at].parse::<f64>().expect("a number"));
        Arc::new(Float64Array::from_iter_values(numbers))
    };
    let times = rows.iter().map(|row| row[6].parse::<i64>().expect("a time") * 1_000);
    let times = arrow_cast::cast(
        &Int64Array::from_iter_values(times),
        &DataType::Timestamp(TimeUnit::Microsecond, None),
    );
    let forced: BooleanArray = rows.iter().map(|row| Some(row[7] == "true")).collect();
    let batch = RecordBatch::try_from_iter([
        ("user_id", texts(0)),
        ("arm", texts(1)),
        ("click", numbers(2)),
        ("value", numbers(3)),
        ("covariate", numbers(4)),
        ("late", numbers(5)),
        ("timestamp", times.expect("they are times")),
        ("forced", Arc::new(forced)),
    ])
    .expect("the columns are as long as each other");
    let file = fs::File::create(path).expect("the file is made");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("it is a table");
    writer.write(&batch).expect("it is written");
    writer.close().expect("it is written");
}

#[test]
fn a_broken_split_shows_no_lift() {
    let text = exposures();
    let kept = |(number, line): &(usize, &str)| number % 8 != 1 || !line.contains("idrec");
    let broken: Vec<&str> = text.lines().enumerate().filter(kept).map(|(_, line)| line).collect();
    let folder = folder(&[("e.csv", &broken.join("\n"))]);
    let text = checked(&folder, "analyse @e.csv --control idrec --one-look");
    let text = text.expect("it is read");
    assert!(text.contains("NO LIFT IS SHOWN: the arms have [375, 500] units"), "{text}");
    assert!(!text.contains("click/exposure"), "{text}");
    let split = "analyse @e.csv --control idrec --one-look --split idrec=3,unim=4";
    let ExperimentCommand::Analyse(args) = command(&folder, split) else { panic!("{split}") };
    let results = analyse(&args).expect("it is read").results;
    assert_eq!(results.hidden, None, "with the split as it was, nothing is wrong");
    assert!(results.guardrails.iter().all(|one| one.verdict != GuardrailVerdict::Stop));
}

#[test]
fn files_that_cannot_be_analysed_are_errors_with_the_reason() {
    let folder = folder(&[
        ("number.csv", "user_id,arm,click\nu1,a,yes\n"),
        ("arm.csv", "user_id,arm,click\nu1,a,1\nu2,c,0\n"),
        ("one.csv", "user_id,arm,click\nu1,a,1\n"),
        ("empty.csv", "user_id,arm,click\n,a,1\nu1,,0\n"),
        ("other.csv", "user,arm,clicks\nu1,a,1\n"),
        ("file.txt", ""),
    ]);
    for (line, part) in [
        ("analyse @number.csv --control a", "the column click has `yes`, which is not a number"),
        ("analyse @arm.csv --control a --split a=1,b=1", "the arm `c` is not one of a, b"),
        ("analyse @one.csv --control a", "rows of one arm alone"),
        ("analyse @empty.csv --control a", "a row has no arm or no user_id"),
        ("analyse @other.csv --control a", "has no column user_id, click; it has user, arm"),
        ("analyse @one.csv --control a --from 1", "need a column timestamp"),
        ("analyse @file.txt --control a", "neither .parquet nor .csv"),
        ("analyse @none.csv --control a", "cannot read"),
        ("analyse @one.csv --control a --lift 0", "--lift 0 is not above 0"),
        ("analyse @one.csv --control a --split b=1", "no share of the control `a`"),
    ] {
        let error = checked(&folder, line).expect_err(line);
        assert!(format!("{error:#}").contains(part), "{line}: {error:#}");
    }
}
