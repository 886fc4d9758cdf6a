//! A bundle as people read it.

use std::fmt::Write;

use crate::{
    Bundle, Calibration,
    features::{Feature, Transform},
    rules::shape_text,
};

impl Bundle {
    /// Graphs with inputs and sources, features, calibration, metrics and files.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_summary(&mut text);
        text
    }

    fn write_summary(&self, to: &mut String) -> std::fmt::Result {
        let manifest = self.manifest();
        writeln!(to, "{}  ({})", manifest.version, manifest.created_at)?;
        writeln!(to, "encoders  {}", manifest.encoder_version)?;
        let record = self.record();
        writeln!(
            to,
            "record    {} x {:?} = {} bytes an item; {}",
            record.dim,
            record.dtype,
            record.bytes(),
            match record.vector() {
                Some(part) => format!("found by `{}`", part.name),
                None => "not found by vectors".to_owned(),
            }
        )?;
        writeln!(to, "tasks     {} (ctr: {})", manifest.tasks.join(", "), manifest.main_task())?;
        let history = manifest.history;
        writeln!(to, "history   {} clicks, {} impressions", history.clicks, history.impressions)?;
        for (name, graph) in &manifest.graphs {
            writeln!(to, "\n{name}  ({})", graph.file)?;
            for input in &graph.inputs {
                let shape = shape_text(&input.shape);
                writeln!(
                    to,
                    "  in   {:<24} {} {shape:<28} {}",
                    input.name, input.dtype, input.source
                )?;
            }
            for output in &graph.outputs {
                writeln!(
                    to,
                    "  out  {:<24} {} {}",
                    output.name,
                    output.dtype,
                    shape_text(&output.shape)
                )?;
            }
            for (task, calibration) in manifest.calibration.get(name).into_iter().flatten() {
                match calibration {
                    Calibration::Platt { a, b } => {
                        writeln!(to, "  {task}: platt: a {a:.4}, b {b:.4}")?;
                    }
                    Calibration::Isotonic { x, .. } => {
                        writeln!(to, "  {task}: isotonic: {} knots", x.len())?;
                    }
                    Calibration::None => {}
                }
            }
        }
        writeln!(to, "\nfeatures")?;
        for (of, feature) in manifest.features.all() {
            let Feature { name, length, .. } = feature;
            writeln!(to, "  {of:<9} {name:<24} {length} x {}", read_as(feature))?;
        }
        writeln!(to, "\nfiles")?;
        for (name, entry) in &manifest.files {
            writeln!(to, "  {:>12}  {name}", entry.bytes)?;
        }
        writeln!(to, "\nmetrics\n{:#}", manifest.metrics)
    }
}

/// How a feature's values are read.
fn read_as(feature: &Feature) -> String {
    match (&feature.vocab, &feature.transform) {
        (Some(vocab), _) => vocab.clone(),
        (None, None | Some(Transform::None)) => "number".to_owned(),
        (None, Some(Transform::Log1p)) => "number, log1p".to_owned(),
        (None, Some(Transform::Standard { mean, std })) => {
            format!("number, less {mean}, by {std}")
        }
        (None, Some(Transform::Buckets(boundaries))) => {
            format!("number, in {} buckets", boundaries.len() + 1)
        }
    }
}
