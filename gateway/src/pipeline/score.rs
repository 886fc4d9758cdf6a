//! Second stage: click probabilities.

use std::{sync::Arc, time::Duration};

use plugrank_budget::{Rung, Stage};
use plugrank_contract::{
    CallError, ErrorCode,
    embedding::Tiers,
    scoring::{ModelKind, Score, Scored},
};

use super::{CandidateSet, Degraded, DegradedCause, Fallback, RankRun, stage::stage};
use crate::api::rank::Coverage;

/// Adds the candidates' probabilities. Where they cannot be scored, the set goes on without them, and
/// the reason is in `degraded`.
///
/// # Errors
/// When what the request says of features does not suit the model.
pub(super) async fn score(run: &mut RankRun<'_>, set: &mut CandidateSet) -> Result<(), CallError> {
    let rung = run.plan.scoring;
    if set.items.is_empty() {
        return Ok(());
    }
    if rung == Rung::RetrievalOrder {
        run.degraded.push(Degraded::planned(Stage::Scoring, rung, run.plan.cause(Stage::Scoring)));
        return Ok(());
    }
    if run.query.explain {
        set.user_read = set.user.clone();
    }
    let facts_for = match run.model.facts_for {
        // Looked up by re-ranking itself; but what is logged in full has to be able to stand alone.
        0 if run.gateway.exposures.in_full(run.info.request_id) => u32::MAX,
        0 => 0,
        pool => pool.max(run.query.k),
    };
    let call = Score {
        user_id: run.query.user_id.clone(),
        items: set.items.clone(),
        user: std::mem::take(&mut set.user),
        as_of: run.query.as_of,
        model: if rung == Rung::Idrec { ModelKind::Idrec } else { run.gateway.kind },
        tiers: if rung == Rung::MissingVectors { Tiers::Cached } else { Tiers::All },
        facts_for,
        rule_inputs: match facts_for {
            0 => Arc::default(),
            _ => Arc::clone(&run.query.surface.rule_inputs),
        },
        given: run.query.given.as_ref().map(|given| given.for_items(&set.items)),
        value: run.query.surface.value.clone(),
        explain: run.query.explain,
    };
    let expected = set.items.len();
    let client = &run.model.clients.score;
    let check = |reply: &Scored| {
        let valued = reply.value.as_ref().map_or(expected, |value| value.values.len());
        match (reply.ctr.len(), valued) {
            (got, valued) if got == expected && valued == expected => Ok(()),
            (got, valued) => Err(CallError::internal(format!(
                "{got} scores and {valued} values for {expected} candidates"
            ))),
        }
    };
    let scored = stage(run, Stage::Scoring, client, call, check);
    match scored.await {
        Ok(reply) => {
            let backlog = Duration::from_micros(u64::from(reply.load.backlog_us));
            run.gateway.admission.note_queue(backlog);
            name_rung(run, rung, &reply);
            take_scores(run, set, reply);
        }
        Err(error) if error.code == ErrorCode::InvalidArgument && run.query.given.is_some() => {
            return Err(error);
        }
        Err(error) => {
            if let Some(ms) = error.retry_after_ms {
                run.gateway.admission.note_queue(Duration::from_millis(u64::from(ms)));
            }
            run.degraded.push(Degraded::by_error(Stage::Scoring, error, Rung::RetrievalOrder));
        }
    }
    Ok(())
}

/// Says where the scores come from, when they are not the best there could be.
fn name_rung(run: &mut RankRun<'_>, planned: Rung, reply: &Scored) {
    let cause = run.plan.cause(Stage::Scoring);
    let degraded = &mut run.degraded;
    let fewer_took_effect = run.query.candidates.is_none();
    // A rung that changes nothing for this request is not one it stands on: the caller's candidates
    // are all scored, and the ID-based model alone reads no vectors.
    let took_effect = match planned {
        Rung::Full => false,
        Rung::FewerCandidates => fewer_took_effect,
        Rung::MissingVectors => reply.model == ModelKind::Unified,
        _ => reply.model == ModelKind::Idrec && run.gateway.kind != ModelKind::Idrec,
    };
    if took_effect {
        degraded.push(Degraded::planned(Stage::Scoring, planned, cause));
    } else if planned > Rung::FewerCandidates && fewer_took_effect {
        degraded.push(Degraded::planned(Stage::Scoring, Rung::FewerCandidates, cause));
    }
    if reply.model == ModelKind::Idrec
        && let Some(fell) = &reply.fell
    {
        degraded.push(Degraded::by_error(Stage::Scoring, fell.clone(), Rung::Idrec));
    }
    if let Some(late) = &reply.late {
        let late = CallError::deadline(late.clone());
        degraded.push(Degraded::by_error(Stage::Scoring, late, Rung::MissingVectors));
    }
}

/// A score that is no number stays one, so that it is not taken for a probability; in every order it counts
/// as the lowest.
fn take_scores(run: &mut RankRun<'_>, set: &mut CandidateSet, reply: Scored) {
    let coverage = reply.coverage;
    set.model = Some(reply.bundle);
    set.kind = Some(reply.model);
    set.batch_rows = reply.batch_rows;
    set.facts = reply.facts;
    set.scores = reply.scores;
    if let Some(broken) = reply.value.as_ref().and_then(|value| value.broken.as_ref()) {
        let degraded = Degraded::partial(Stage::Scoring, Fallback::WithoutValue, broken.clone());
        run.degraded.push(degraded);
    }
    set.value = reply.value;
    set.coverage = Coverage {
        scored: coverage.rows,
        memory: coverage.memory,
        store: coverage.store,
        encoded: coverage.encoded,
        missing: coverage.missing,
        history: coverage.history,
        ..set.coverage
    };
    let broken = reply.ctr.iter().filter(|ctr| !ctr.is_finite()).count();
    if broken > 0 {
        run.degraded.push(Degraded {
            stage: Stage::Scoring,
            cause: DegradedCause::NonFinite,
            fallback: Fallback::ScoredLowest,
            detail: format!("{broken} scores were no finite numbers"),
        });
    }
    set.ctr = Some(reply.ctr);
}
