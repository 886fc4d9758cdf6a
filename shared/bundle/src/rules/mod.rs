//! What the keys of a manifest must agree on.

mod features;

use std::collections::HashSet;

use crate::{
    BundleError, Dim, GraphName, GraphSpec, InputSource, Manifest, TensorDtype, TensorSpec,
    features::{ACTION, Feature, Features, VALUE},
    manifest::InputSpec,
};

type Check = Result<(), BundleError>;

/// Most entries of a history, and ids of a feature.
const MAX_LENGTH: usize = 10_000;
/// Most elements of a vector. Keeps sums and products of sizes far from overflowing.
const MAX_DIM: usize = 1 << 16;

/// Checks the manifest in itself; files have been checked before.
pub(crate) fn check(manifest: &Manifest) -> Check {
    text_of("name", &manifest.name)?;
    text_of("version", &manifest.version)?;
    text_of("encoder_version", &manifest.encoder_version)?;
    listed(manifest, "reference.file", &manifest.reference.file)?;
    if !(manifest.reference.tolerance > 0.0 && manifest.reference.tolerance.is_finite()) {
        return Err(BundleError::manifest("reference.tolerance", "must be above 0"));
    }
    let history = manifest.history;
    for (key, length) in
        [("history.clicks", history.clicks), ("history.impressions", history.impressions)]
    {
        if length > MAX_LENGTH {
            return Err(BundleError::manifest(key, format!("is above {MAX_LENGTH}")));
        }
    }
    if history.clicks + history.impressions == 0 {
        return Err(BundleError::manifest("history", "clicks and impressions are both 0"));
    }
    modal(manifest)?;
    features::check(manifest)?;
    tasks(manifest)?;
    graphs(manifest)?;
    calibrations(manifest)
}

fn tasks(manifest: &Manifest) -> Check {
    let Manifest { tasks, value, .. } = manifest;
    if tasks.is_empty() {
        return Err(BundleError::manifest("tasks", "must name one at least, or be left out"));
    }
    tasks.iter().try_for_each(|task| text_of("tasks", task))?;
    distinct("tasks".to_owned(), tasks.iter())?;
    match &value.task {
        Some(task) if !tasks.contains(task) => {
            Err(BundleError::manifest("value.task", format!("there is no task `{task}`")))
        }
        _ => Ok(()),
    }
}

fn text_of(key: &str, text: &str) -> Check {
    if text.trim().is_empty() {
        return Err(BundleError::manifest(key, "must not be empty"));
    }
    Ok(())
}

fn listed(manifest: &Manifest, key: impl Into<String>, file: &str) -> Check {
    if manifest.files.contains_key(file) {
        return Ok(());
    }
    Err(BundleError::manifest(key, format!("`{file}` is not listed in `files`")))
}

fn modal(manifest: &Manifest) -> Check {
    let modal = &manifest.modal;
    let mut sum = 0;
    if let Some(text) = &modal.text {
        listed(manifest, "modal.text.tokenizer", &text.tokenizer)?;
        part(manifest, "modal.text.graph", text.graph, GraphName::TextEncoder)?;
        if text.max_tokens == 0 {
            return Err(BundleError::manifest("modal.text.max_tokens", "must be above 0"));
        }
        sum += dim("modal.text.dim", text.dim)?;
    }
    if let Some(image) = &modal.image {
        part(manifest, "modal.image.graph", image.graph, GraphName::ImageEncoder)?;
        if !(1..=4096).contains(&image.width) || !(1..=4096).contains(&image.height) {
            return Err(BundleError::manifest("modal.image", "width and height must be 1 to 4096"));
        }
        if image.std.iter().any(|std| !(std.is_finite() && *std > 0.0)) {
            return Err(BundleError::manifest("modal.image.std", "must be above 0"));
        }
        if image.mean.iter().any(|mean| !mean.is_finite()) {
            return Err(BundleError::manifest("modal.image.mean", "must be finite"));
        }
        sum += dim("modal.image.dim", image.dim)?;
    }
    if sum != modal.dim {
        let message = format!("is {}, but its parts add up to {sum}", modal.dim);
        return Err(BundleError::manifest("modal.dim", message));
    }
    for (graph, described) in [
        (GraphName::TextEncoder, modal.text.is_some()),
        (GraphName::ImageEncoder, modal.image.is_some()),
    ] {
        if manifest.graphs.contains_key(&graph) && !described {
            let message =
                format!("does not describe what `{graph}` is for; add it or the graph goes");
            return Err(BundleError::manifest("modal", message));
        }
    }
    Ok(())
}

fn dim(key: &str, dim: usize) -> Result<usize, BundleError> {
    if (1..=MAX_DIM).contains(&dim) {
        return Ok(dim);
    }
    Err(BundleError::manifest(key, format!("must be 1 to {MAX_DIM}")))
}

fn part(manifest: &Manifest, key: &str, named: GraphName, expected: GraphName) -> Check {
    if named != expected {
        return Err(BundleError::manifest(key, format!("must be `{expected}`")));
    }
    if !manifest.graphs.contains_key(&named) {
        return Err(BundleError::manifest(key, format!("there is no graph `{named}`")));
    }
    Ok(())
}

fn graphs(manifest: &Manifest) -> Check {
    for required in [GraphName::ItemEncoder, GraphName::UserEncoder, GraphName::Unified] {
        if !manifest.graphs.contains_key(&required) {
            let message = format!("the graph `{required}` is missing");
            return Err(BundleError::manifest("graphs", message));
        }
    }
    for (name, graph) in &manifest.graphs {
        listed(manifest, format!("graphs.{name}.file"), &graph.file)?;
        let names = graph.inputs.iter().map(|input| &input.name);
        distinct(format!("graphs.{name}.inputs"), names)?;
        distinct(
            format!("graphs.{name}.outputs"),
            graph.outputs.iter().map(|output| &output.name),
        )?;
        for input in &graph.inputs {
            if !input.source.allowed_in(*name) {
                let (input, found) = (input.name.clone(), input.source.to_string());
                return Err(BundleError::Source { graph: *name, input, found });
            }
            let key = format!("graphs.{name}.inputs.{}", input.name);
            source(manifest, input).map_err(|message| BundleError::manifest(key, message))?;
        }
        outputs(manifest, *name, graph)?;
    }
    Ok(())
}

fn distinct<'a>(key: String, names: impl Iterator<Item = &'a String>) -> Check {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(BundleError::manifest(key, format!("`{name}` is there twice")));
        }
    }
    Ok(())
}

fn source(manifest: &Manifest, input: &InputSpec) -> Result<(), String> {
    let (dtype, shape) = expected(manifest, &input.source)?;
    if input.dtype != dtype {
        return Err(format!("is {}, but `{}` is {dtype}", input.dtype, input.source));
    }
    if input.shape != shape {
        let (found, wanted) = (shape_text(&input.shape), shape_text(&shape));
        return Err(format!("has the shape {found}, but `{}` has {wanted}", input.source));
    }
    Ok(())
}

/// Type and shape of what a source gives.
fn expected(manifest: &Manifest, source: &InputSource) -> Result<(TensorDtype, Vec<Dim>), String> {
    use TensorDtype::{F32, I64};
    let named = |names: &[&str]| -> Vec<Dim> {
        names.iter().map(|name| Dim::Named((*name).to_owned())).collect()
    };
    let with = |names: &[&str], length: usize| {
        let mut dims = named(names);
        if length > 1 {
            dims.push(Dim::Fixed(length));
        }
        dims
    };
    let feature = |features: &[Feature], name: &str, names: &[&str]| {
        let found = features.iter().find(|feature| feature.name == name);
        found
            .map(|feature| (feature.dtype(), with(names, feature.length)))
            .ok_or_else(|| format!("there is no feature `{name}`"))
    };
    let Features { item, user, request, candidate, history } = &manifest.features;
    let plus = |names: &[&str], width: usize| {
        let mut dims = named(names);
        dims.push(Dim::Fixed(width));
        dims
    };
    Ok(match source {
        InputSource::TextTokenIds | InputSource::TextMask => (I64, named(&["batch", "tokens"])),
        InputSource::ImagePixels => {
            let image = manifest.modal.image.as_ref().ok_or("`modal.image` is missing")?;
            let sizes = [3, image.height as usize, image.width as usize].map(Dim::Fixed);
            (F32, named(&["batch"]).into_iter().chain(sizes).collect())
        }
        InputSource::ItemModal => (F32, plus(&["items"], manifest.modal.dim)),
        InputSource::ItemModalPresent => (F32, plus(&["items"], manifest.modal.parts())),
        InputSource::ItemFeature(name) => feature(item, name, &["items"])?,
        InputSource::HistoryItem(name) => {
            let (dtype, width) = item_output(manifest, name)?;
            (dtype, plus(&["users", "history"], width))
        }
        InputSource::CandidateItem(name) => {
            let (dtype, width) = item_output(manifest, name)?;
            (dtype, plus(&["users", "candidates"], width))
        }
        InputSource::HistoryFeature(name) => feature(item, name, &["users", "history"])?,
        InputSource::CandidateFeature(name) => feature(item, name, &["users", "candidates"])?,
        InputSource::CandidateGiven(name) => feature(candidate, name, &["users", "candidates"])?,
        InputSource::UserFeature(name) => feature(user, name, &["users"])?,
        InputSource::RequestFeature(name) => feature(request, name, &["users"])?,
        InputSource::HistoryLabel | InputSource::HistoryAgeBucket => {
            (I64, named(&["users", "history"]))
        }
        InputSource::HistoryAction => feature(history, ACTION, &["users", "history"])?,
        InputSource::HistoryValue => feature(history, VALUE, &["users", "history"])?,
        InputSource::HistoryMask => (F32, named(&["users", "history"])),
        InputSource::RequestRecencyBucket => (I64, named(&["users"])),
        InputSource::UserState(name) => {
            let output = output_of(manifest, GraphName::UserEncoder, name)?;
            (output.dtype, output.shape.clone())
        }
    })
}

/// Type and width of an output of `item_encoder`.
fn item_output(manifest: &Manifest, name: &str) -> Result<(TensorDtype, usize), String> {
    let output = output_of(manifest, GraphName::ItemEncoder, name)?;
    let width = output.width().ok_or_else(|| {
        format!("output `{name}` of item_encoder has the shape {}", shape_text(&output.shape))
    })?;
    Ok((output.dtype, width))
}

fn output_of<'a>(
    manifest: &'a Manifest,
    graph: GraphName,
    name: &str,
) -> Result<&'a TensorSpec, String> {
    let outputs = manifest.graphs.get(&graph).map_or(&[][..], |graph| &graph.outputs);
    outputs
        .iter()
        .find(|output| output.name == name)
        .ok_or_else(|| format!("{graph} has no output `{name}`"))
}

fn outputs(manifest: &Manifest, name: GraphName, graph: &GraphSpec) -> Check {
    let key = || format!("graphs.{name}.outputs");
    let modal = match name {
        GraphName::TextEncoder => manifest.modal.text.as_ref().map(|text| text.dim),
        GraphName::ImageEncoder => manifest.modal.image.as_ref().map(|image| image.dim),
        _ => None,
    };
    let shape_is = |output: &TensorSpec, allowed: &[&[&str]]| {
        allowed.iter().any(|names| {
            output.shape.len() == names.len()
                && output.shape.iter().zip(*names).all(|(dim, name)| match dim {
                    Dim::Named(dim) => dim == name,
                    Dim::Fixed(_) => *name == "*",
                })
        })
    };
    let allowed: &[&[&str]] = match name {
        GraphName::TextEncoder | GraphName::ImageEncoder => &[&["batch", "*"]],
        GraphName::ItemEncoder => &[&["items", "*"]],
        GraphName::UserEncoder => &[&["users", "*"], &["users", "history", "*"]],
        GraphName::Unified | GraphName::Idrec => &[&["users", "candidates"]],
    };
    if let Some(wrong) = graph.outputs.iter().find(|output| !shape_is(output, allowed)) {
        let forms: Vec<String> =
            allowed.iter().map(|form| format!("[{}]", form.join(", "))).collect();
        let message = format!(
            "`{}` has the shape {}; expected {} (* is a number)",
            wrong.name,
            shape_text(&wrong.shape),
            forms.join(" or ")
        );
        return Err(BundleError::manifest(key(), message));
    }
    for output in &graph.outputs {
        let width = output.width().unwrap_or(1);
        dim(&format!("graphs.{name}.outputs.{}", output.name), width)?;
        if let Some(modal) = modal
            && modal != width
        {
            let message = format!("`{}` is {width} wide, but `modal` says {modal}", output.name);
            return Err(BundleError::manifest(key(), message));
        }
    }
    let all_f32 = graph.outputs.iter().all(|output| output.dtype == TensorDtype::F32);
    let one_f32 = all_f32 && graph.outputs.len() == 1;
    let tasks = &manifest.tasks;
    let named = |task: &String| graph.outputs.iter().any(|output| output.name == *task);
    let one_a_task = all_f32
        && graph.outputs.len() == tasks.len()
        && (tasks.len() == 1 || tasks.iter().all(named));
    match name {
        GraphName::Unified | GraphName::Idrec if !one_a_task => {
            let message = match &tasks[..] {
                [_] => "there must be one output, the task's logit, of dtype f32".to_owned(),
                several => {
                    format!(
                        "there must be an output of dtype f32 for each of {}",
                        several.join(", ")
                    )
                }
            };
            Err(BundleError::manifest(key(), message))
        }
        GraphName::TextEncoder | GraphName::ImageEncoder if !one_f32 => {
            Err(BundleError::manifest(key(), "there must be one output of dtype f32"))
        }
        GraphName::UserEncoder if graph.outputs.iter().any(|o| o.dtype == TensorDtype::I64) => {
            Err(BundleError::manifest(key(), "outputs are f16 or f32"))
        }
        _ => Ok(()),
    }
}

fn calibrations(manifest: &Manifest) -> Check {
    for (graph, tasks) in &manifest.calibration {
        let key = format!("calibration.{graph}");
        if !matches!(graph, GraphName::Unified | GraphName::Idrec) {
            return Err(BundleError::manifest(key, "only `unified` and `idrec` are calibrated"));
        }
        for (task, calibration) in tasks {
            let key = format!("{key}.{task}");
            if !manifest.tasks.contains(task) {
                return Err(BundleError::manifest(key, format!("there is no task `{task}`")));
            }
            calibration.check().map_err(|message| BundleError::manifest(key, message))?;
        }
    }
    Ok(())
}

/// A shape as people write it.
pub(crate) fn shape_text(shape: &[Dim]) -> String {
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", dims.join(", "))
}
