use plugrank_contract::Deadline;
use proptest::prelude::*;

use super::*;
use crate::batcher::shape::RowAxis;

fn policy(max_wait_ms: u64) -> Policy {
    let (users, candidates) = (vec![1, 2, 4, 8], vec![32, 64, 512]);
    Policy {
        buckets: Buckets::new(users, candidates, vec![25, 50], RowAxis::Candidates, 1024).unwrap(),
        max_wait: Duration::from_millis(max_wait_ms),
        patience: Duration::from_secs(1),
        margin: Duration::from_millis(1),
        run_in_place: Duration::ZERO,
        halve_from: Duration::ZERO,
    }
}

fn entry(candidates: usize, arrived: Instant) -> Waiting {
    Waiting { dims: Dims { candidates, history: 10 }, arrived, deadline: Deadline::NONE }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Run times of a device on which a run costs the same however large it is.
fn flat(policy: &Policy, took: Duration) -> RunTimes {
    let mut times = RunTimes::default();
    policy.buckets.shapes().into_iter().for_each(|shape| times.record(shape, took));
    times
}

/// Run times of a device on which every padded row costs the same.
fn linear(policy: &Policy) -> RunTimes {
    let mut times = RunTimes::default();
    for shape in policy.buckets.shapes() {
        let rows = policy.buckets.row_axis().padded_rows(shape);
        times.record(shape, Duration::from_micros(10 * rows as u64));
    }
    times
}

/// Arrivals every `gap`, the last of them at `last`.
fn every(gap: Duration, last: Instant) -> Arrivals {
    let mut arrivals = Arrivals::default();
    arrivals.record(last - gap);
    arrivals.record(last);
    arrivals
}

fn start() -> Instant {
    Instant::now() + ms(60_000)
}

/// A decision, and the entries it is about.
type Decided = (BatchDecision, Vec<usize>);

fn decide(
    policy: &Policy,
    now: Instant,
    waiting: &[Waiting],
    idle_workers: usize,
    arrivals: &Arrivals,
    times: &RunTimes,
) -> Decided {
    // What an earlier decision chose must not matter.
    let mut chosen = vec![7, 7];
    let decision = policy.decide(now, waiting, idle_workers, (arrivals, times), &mut chosen);
    (decision, chosen)
}

fn run((decision, entries): Decided) -> (CloseReason, Vec<usize>, Shape) {
    match decision {
        BatchDecision::Run { reason, shape } => (reason, entries, shape),
        BatchDecision::Wait { until } => panic!("waits until {until:?}"),
    }
}

#[test]
fn an_empty_queue_waits_for_an_arrival() {
    let decision =
        decide(&policy(1), start(), &[], 1, &Arrivals::default(), &RunTimes::default()).0;
    assert_eq!(decision, BatchDecision::Wait { until: None });
}

#[test]
fn an_idle_worker_takes_a_single_request_at_once() {
    let (policy, now) = (policy(5), start());
    let decision =
        decide(&policy, now, &[entry(20, now)], 1, &Arrivals::default(), &linear(&policy));
    let (reason, entries, shape) = run(decision);
    assert_eq!((reason, entries), (CloseReason::WorkerIdle, vec![0]));
    assert_eq!(shape, Shape { users: 1, candidates: 32, history: 25 });
}

#[test]
fn a_batch_waits_for_near_arrivals_where_run_time_is_constant() {
    let (policy, now) = (policy(5), start());
    let (times, arrivals) = (flat(&policy, ms(4)), every(ms(1), now));
    let waiting = [entry(20, now)];
    let decision = decide(&policy, now, &waiting, 1, &arrivals, &times).0;
    assert_eq!(decision, BatchDecision::Wait { until: Some(now + ms(5)) });
    // A second idle worker would take the next request: no reason to wait for it.
    assert_eq!(
        run(decide(&policy, now, &waiting, 2, &arrivals, &times)).0,
        CloseReason::WorkerIdle
    );
    // Where run time is proportional to rows there is nothing to gain either.
    let decision = decide(&policy, now, &waiting, 1, &arrivals, &linear(&policy));
    assert_eq!(run(decision).0, CloseReason::WorkerIdle);
    // The traffic ended.
    let decision = decide(&policy, now + ms(3), &waiting, 1, &arrivals, &times);
    assert_eq!(run(decision).0, CloseReason::WorkerIdle);
    // It waited long enough.
    let decision = decide(&policy, now + ms(5), &waiting, 1, &every(ms(1), now + ms(5)), &times);
    assert_eq!(run(decision).0, CloseReason::Waited);
}

#[test]
fn the_tightest_deadline_closes_the_batch() {
    let (policy, now) = (policy(50), start());
    let (times, arrivals) = (flat(&policy, ms(4)), every(ms(1), now));
    let tight = Waiting { deadline: Deadline::at(now + ms(10)), ..entry(20, now) };
    let waiting = [entry(20, now), tight];
    let decision = decide(&policy, now, &waiting, 1, &arrivals, &times).0;
    assert_eq!(decision, BatchDecision::Wait { until: Some(now + ms(5)) }, "10 - 4 - 1 of margin");
    let later = now + ms(5);
    let decision = decide(&policy, later, &waiting, 1, &every(ms(1), later), &times);
    assert_eq!(run(decision).0, CloseReason::Deadline);
}

#[test]
fn a_batch_closes_at_its_row_limit() {
    let (policy, now) = (policy(5), start());
    let waiting: Vec<_> = (0..3).map(|_| entry(400, now)).collect();
    let (reason, entries, shape) =
        run(decide(&policy, now, &waiting, 1, &every(ms(1), now), &flat(&policy, ms(4))));
    assert_eq!((reason, entries.len()), (CloseReason::RowLimit, 2));
    assert_eq!((shape.users, shape.candidates), (2, 512));
}

#[test]
fn requests_of_one_size_are_batched_and_others_fill_free_rows() {
    let (policy, now) = (policy(0), start());
    let sizes = [20, 400, 30, 50, 25];
    let waiting: Vec<_> = sizes.iter().map(|size| entry(*size, now)).collect();
    let (_, entries, shape) =
        run(decide(&policy, now, &waiting, 1, &Arrivals::default(), &flat(&policy, ms(4))));
    // Three of about 20 to 32; the fourth place of the shape could only take a smaller one.
    assert_eq!((entries, shape.users, shape.candidates), (vec![0, 2, 4], 4, 32));

    let waiting: Vec<_> = [60, 50, 50, 20].iter().map(|size| entry(*size, now)).collect();
    let (_, entries, shape) =
        run(decide(&policy, now, &waiting, 1, &Arrivals::default(), &flat(&policy, ms(4))));
    assert_eq!((entries, shape.users, shape.candidates), (vec![0, 1, 2, 3], 4, 64));
}

#[test]
fn histories_of_different_length_are_batched_where_padding_is_cheap() {
    let (policy, now) = (policy(0), start());
    let waiting_with =
        |history| Waiting { dims: Dims { candidates: 20, history }, ..entry(20, now) };
    let waiting = [waiting_with(10), waiting_with(40)];
    let decided = |times| run(decide(&policy, now, &waiting, 1, &Arrivals::default(), &times));
    let (_, entries, shape) = decided(flat(&policy, ms(4)));
    assert_eq!((entries, shape.users, shape.history), (vec![0, 1], 2, 50));
    // Where every padded entry of a history costs the same, the short one would pay for the long one.
    let mut by_history = RunTimes::default();
    for shape in policy.buckets.shapes() {
        let entries = shape.users * shape.candidates * shape.history;
        by_history.record(shape, Duration::from_micros(entries as u64));
    }
    let (_, entries, shape) = decided(by_history);
    assert_eq!((entries, shape.users, shape.history), (vec![0], 1, 25));
}

#[test]
fn a_batch_is_not_padded_where_padding_costs_as_much_as_rows() {
    let (policy, now) = (policy(0), start());
    let waiting: Vec<_> = (0..5).map(|_| entry(32, now)).collect();
    let (_, entries, shape) =
        run(decide(&policy, now, &waiting, 1, &Arrivals::default(), &linear(&policy)));
    assert_eq!((entries.len(), shape.users), (4, 4), "not five padded to eight");
}

#[test]
fn the_most_urgent_entry_runs_first_until_patience_ends() {
    let (policy, now) = (policy(0), start());
    let arrived = now - ms(10);
    let mut waiting = vec![
        entry(20, arrived),
        Waiting { deadline: Deadline::at(now + ms(30)), ..entry(400, now) },
    ];
    let first = |waiting: &[Waiting], now| {
        run(decide(&policy, now, waiting, 1, &Arrivals::default(), &linear(&policy))).1[0]
    };
    assert_eq!(first(&waiting, now), 1, "the deadline is nearer");
    waiting[1].deadline = Deadline::at(now + ms(2000));
    waiting[1].arrived = now + ms(900);
    assert_eq!(first(&waiting, now + ms(990)), 0, "the first has waited for a second");
}

proptest! {
    /// Whatever waits, a decision to run names distinct entries that fit the shape, the most
    /// urgent among them, within the row limit.
    #[test]
    fn batches_are_well_formed(
        sizes in prop::collection::vec((1usize..=512, 1usize..=50, 0u64..3000, 1u64..3000), 1..40),
        flat_times in any::<bool>(),
    ) {
        let (policy, now) = (policy(0), start());
        let waiting: Vec<_> = sizes.iter().map(|(candidates, history, age, left)| Waiting {
            dims: Dims { candidates: *candidates, history: *history },
            arrived: now - ms(*age),
            deadline: if left % 2 == 0 { Deadline::at(now + ms(*left)) } else { Deadline::NONE },
        }).collect();
        let times = if flat_times { flat(&policy, ms(4)) } else { linear(&policy) };
        let (_, entries, shape) =
            run(decide(&policy, now, &waiting, 1, &Arrivals::default(), &times));
        let mut distinct = entries.clone();
        distinct.sort_unstable();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), entries.len());
        prop_assert!(entries.len() <= shape.users);
        prop_assert!(shape.users * shape.candidates <= 1024);
        prop_assert!(policy.buckets.shapes().contains(&shape), "{} is never warmed", shape);
        for at in &entries {
            prop_assert!(waiting[*at].dims.candidates <= shape.candidates);
            prop_assert!(waiting[*at].dims.history <= shape.history);
        }
        let most_urgent = waiting.iter().map(|entry| policy.urgency(entry)).min();
        let chosen = entries.iter().map(|at| policy.urgency(&waiting[*at])).min();
        prop_assert_eq!(chosen, most_urgent);
    }

    /// Requests that keep arriving with nearer deadlines do not starve one without a deadline:
    /// once patience has ended it is in the next batch.
    #[test]
    fn no_entry_starves(others in prop::collection::vec(1usize..=512, 20..60)) {
        let (policy, begin) = (policy(0), start());
        let mut waiting = vec![entry(40, begin)];
        let mut now = begin;
        let mut others = others.into_iter().cycle();
        // Each round two arrive with 50 ms of time, and one batch of 40 ms runs.
        for _ in 0..60 {
            for size in others.by_ref().take(2) {
                waiting.push(Waiting { deadline: Deadline::at(now + ms(50)), ..entry(size, now) });
            }
            let (_, entries, _) =
                run(decide(&policy, now, &waiting, 1, &Arrivals::default(), &linear(&policy)));
            if entries.contains(&0) {
                prop_assert!(now <= begin + ms(1040));
                return Ok(());
            }
            let mut at = 0;
            waiting.retain(|entry| {
                at += 1;
                !entries.contains(&(at - 1)) && !entry.deadline.has_passed_at(now)
            });
            now += ms(40);
        }
        prop_assert!(false, "never ran");
    }
}
