//! What the keys of a feature must agree on.

use std::collections::HashSet;

use super::{Check, MAX_LENGTH, listed, text_of};
use crate::{
    BundleError, Manifest,
    features::{ACTION, Feature, FeatureKind, Transform, VALUE},
};

pub(super) fn check(manifest: &Manifest) -> Check {
    let mut names = HashSet::new();
    for (of, feature) in manifest.features.all() {
        let key = format!("features.{of}.{}", feature.name);
        text_of(&key, &feature.name)?;
        let refused = |message: String| BundleError::manifest(key.clone(), message);
        if !(1..=MAX_LENGTH).contains(&feature.length) {
            return Err(refused(format!("`length` must be 1 to {MAX_LENGTH}")));
        }
        if !names.insert((of, &feature.name)) {
            return Err(refused("there are two features of this name".to_owned()));
        }
        read_from(of, feature).map_err(refused)?;
        if of == "history" {
            of_entry(feature).map_err(refused)?;
        }
        match feature.kind {
            FeatureKind::Category => category(feature).map_err(refused)?,
            FeatureKind::Number => number(feature).map_err(refused)?,
        }
        if let Some(vocab) = &feature.vocab {
            listed(manifest, &key, vocab)?;
        }
        let shares = feature.observed.map(|seen| [seen.missing, seen.unknown]);
        if shares.is_some_and(|shares| shares.iter().any(|share| !(0.0..=1.0).contains(share))) {
            return Err(refused("the shares of `observed` must be 0 to 1".to_owned()));
        }
    }
    Ok(())
}

fn read_from(of: &str, feature: &Feature) -> Result<(), String> {
    match (&feature.column, feature.derive) {
        (Some(column), None) if !column.trim().is_empty() => Ok(()),
        (Some(_), None) => Err("`column` must not be empty".to_owned()),
        (None, Some(_)) if of == "request" && feature.kind == FeatureKind::Category => Ok(()),
        (None, Some(_)) => Err("only categories of requests are derived".to_owned()),
        (Some(_), Some(_)) => Err("has `column` and `derive`; it is one or the other".to_owned()),
        (None, None) => Err("has neither `column` nor `derive`".to_owned()),
    }
}

/// Of an entry there are an action, which is looked up, and a value, which is counted with.
fn of_entry(feature: &Feature) -> Result<(), String> {
    let kind = match &*feature.name {
        ACTION => FeatureKind::Category,
        VALUE => FeatureKind::Number,
        _ => return Err(format!("a history has `{ACTION}` and `{VALUE}`")),
    };
    if feature.kind != kind || feature.length != 1 {
        return Err(format!("must be a {} of `length` 1", kind.as_str()));
    }
    if feature.column() != Some(&*feature.name) {
        return Err(format!("`column` must be `{}` too", feature.name));
    }
    Ok(())
}

fn category(feature: &Feature) -> Result<(), String> {
    if feature.vocab.is_none() {
        return Err("a category needs `vocab`, a file with one value a line".to_owned());
    }
    if feature.transform.is_some() || feature.missing.is_some() {
        return Err("`transform` and `missing` are for `kind` number".to_owned());
    }
    Ok(())
}

fn number(feature: &Feature) -> Result<(), String> {
    if feature.vocab.is_some() {
        return Err("`vocab` is for `kind` category".to_owned());
    }
    if feature.missing.is_some_and(|missing| !missing.is_finite()) {
        return Err("`missing` must be finite".to_owned());
    }
    match &feature.transform {
        Some(Transform::Standard { mean, std })
            if !(mean.is_finite() && std.is_finite() && *std > 0.0) =>
        {
            Err("`mean` must be finite and `std` above 0".to_owned())
        }
        Some(Transform::Buckets(boundaries)) if boundaries.is_empty() => {
            Err("`buckets` must have one boundary at least".to_owned())
        }
        Some(Transform::Buckets(boundaries))
            if !boundaries.is_sorted_by(|a, b| a < b)
                || boundaries.iter().any(|boundary| !boundary.is_finite()) =>
        {
            Err("`buckets` must be finite and strictly ascending".to_owned())
        }
        _ => Ok(()),
    }
}
