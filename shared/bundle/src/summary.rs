//! A bundle as people read it.

use std::fmt::Write;

use crate::{Bundle, Calibration, rules::shape_text};

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
            "record    {} x {:?} = {} bytes an item; found by `{}`",
            record.dim,
            record.dtype,
            record.bytes(),
            record.vector().name
        )?;
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
            match manifest.calibration.get(name) {
                Some(Calibration::Platt { a, b }) => writeln!(to, "  platt: a {a:.4}, b {b:.4}")?,
                Some(Calibration::Isotonic { x, .. }) => {
                    writeln!(to, "  isotonic: {} knots", x.len())?
                }
                Some(Calibration::None) | None => {}
            }
        }
        writeln!(to, "\nfeatures")?;
        for (of, features) in [("item", &manifest.features.item), ("user", &manifest.features.user)]
        {
            for feature in features {
                writeln!(
                    to,
                    "  {of:<5} {:<24} {} x {}",
                    feature.name, feature.length, feature.vocab
                )?;
            }
        }
        writeln!(to, "\nfiles")?;
        for (name, entry) in &manifest.files {
            writeln!(to, "  {:>12}  {name}", entry.bytes)?;
        }
        writeln!(to, "\nmetrics\n{:#}", manifest.metrics)
    }
}
