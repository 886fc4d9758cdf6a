//! What showed the rows: from the logs of events and of served lists.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use plugrank_contract::{Event, Exposure, FeatureValues};
use plugrank_dataset::InteractionColumns;
use plugrank_store::{Store, TimeRange};

use crate::{
    ExportError, ExportOptions, ExportWatch, PAGE, behaviour::Behaviour, catalog::Items,
    exposures::LISTS,
};

/// How long before the time asked for a list may have been served whose items were clicked in it.
const SERVED_BEFORE_MS: i64 = 24 * 60 * 60 * 1000;

/// What is known of a row beside what a history keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shown {
    /// The request that showed it.
    pub(crate) request_id: Option<Arc<str>>,
    /// Where in its list, from 0.
    pub(crate) position: Option<u32>,
    /// The further tasks of which there was an event, by their number.
    pub(crate) tasks: Vec<usize>,
    pub(crate) surface: Option<String>,
    pub(crate) propensity: Option<f32>,
    /// Those of the request, and over them those of the candidate.
    pub(crate) features: FeatureValues,
}

/// What is known of rows, by row: of those that the logs have.
pub(crate) struct Requests<'a> {
    behaviour: &'a Behaviour,
    items: &'a Items,
    tasks: BTreeMap<&'a str, usize>,
    pub(crate) rows: HashMap<usize, Shown>,
    /// Names of features that no column can have.
    pub(crate) reserved: BTreeSet<String>,
    /// The rows of a request, each with its item.
    by_request: HashMap<Arc<str>, Vec<(usize, u32)>>,
    /// Events of further tasks whose rows are found by their request.
    labels: Vec<(Event, usize)>,
}

impl<'a> Requests<'a> {
    /// Of rows, for tasks by their number.
    pub(crate) fn new(
        behaviour: &'a Behaviour,
        items: &'a Items,
        options: &'a ExportOptions,
        tasks: &[String],
    ) -> Self {
        let number = |task: &String| tasks.binary_search(task).ok();
        let numbered = |(name, task): (&'a String, &String)| Some((name.as_str(), number(task)?));
        let tasks = options.tasks.iter().filter_map(numbered).collect();
        Self {
            behaviour,
            items,
            tasks,
            rows: HashMap::new(),
            reserved: BTreeSet::new(),
            by_request: HashMap::new(),
            labels: Vec::new(),
        }
    }

    /// Reads both logs. An event that does not say its position has that of the served list.
    pub(crate) async fn read(
        &mut self,
        store: &Arc<dyn Store>,
        range: TimeRange,
        watch: &dyn ExportWatch,
    ) -> Result<(), ExportError> {
        watch.begin("events", None);
        // What followed later is known by now.
        let events = TimeRange { from: range.from, to: TimeRange::ALL.to };
        let mut from = None;
        loop {
            let page = store.scan_events(events, from, PAGE).await?;
            watch.advance(page.entries.len() as u64).await?;
            page.entries.into_iter().for_each(|event| self.event(event));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        for (event, task) in std::mem::take(&mut self.labels) {
            self.label(&event, task);
        }
        watch.end();
        watch.begin("exposures", None);
        let from_ms = range.from.saturating_sub(SERVED_BEFORE_MS);
        let served = TimeRange { from: from_ms, to: range.to };
        while !self.by_request.is_empty() {
            let page = store.scan_exposures(served, from, LISTS).await?;
            watch.advance(page.entries.len() as u64).await?;
            page.entries.iter().for_each(|exposure| self.exposure(exposure));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        watch.end();
        Ok(())
    }

    fn event(&mut self, event: Event) {
        let Some(item) = self.items.numbers.get(&event.item_id).copied() else { return };
        let task = self.tasks.get(&*event.event_type.name).copied();
        let row = self.behaviour.row(&event.user_id, item, event.timestamp);
        if let Some(row) = row {
            let shown = self.rows.entry(row).or_default();
            shown.surface = event.surface.clone().or(shown.surface.take());
            if let Some(id) = &event.request_id {
                let id = match self.by_request.get_key_value(id.as_str()) {
                    Some((known, _)) => Arc::clone(known),
                    None => Arc::from(id.as_str()),
                };
                shown.position = event.position.and_then(|position| position.checked_sub(1));
                shown.request_id = Some(Arc::clone(&id));
                self.by_request.entry(id).or_default().push((row, item));
            }
        }
        let Some(task) = task else { return };
        match (row, &event.request_id) {
            // Alone, or the one that the history goes by.
            (Some(row), _) => note_task(self.rows.entry(row).or_default(), task),
            (None, Some(_)) => self.labels.push((event, task)),
            (None, None) => {}
        }
    }

    /// Notes an event of a task at the row of its request.
    fn label(&mut self, event: &Event, task: usize) {
        let Some(request) = event.request_id.as_deref() else { return };
        let item = self.items.numbers.get(&event.item_id);
        for (row, of) in self.by_request.get(request).into_iter().flatten() {
            if Some(of) == item && self.behaviour.is_of(*row, &event.user_id) {
                note_task(self.rows.entry(*row).or_default(), task);
            }
        }
    }

    fn exposure(&mut self, exposure: &Exposure) {
        for (row, item) in self.by_request.get(&*exposure.request_id).into_iter().flatten() {
            if !self.behaviour.is_of(*row, &exposure.user_id) {
                continue;
            }
            let Some(shown) = self.rows.get_mut(row) else { continue };
            let is_it = |id| self.items.numbers.get(id) == Some(item);
            let place = exposure.items.iter().position(|served| is_it(&served.item_id));
            shown.surface = exposure.surface.clone().or(shown.surface.take());
            shown.features.clone_from(&exposure.features);
            if let Some(place) = place {
                let served = &exposure.items[place];
                shown.position = shown.position.or(u32::try_from(place).ok());
                shown.propensity = served.propensity;
                shown.features.extend(served.features.clone());
            }
            shown.features.retain(|name, _| {
                let kept = InteractionColumns::is_feature_name(name);
                if !kept {
                    self.reserved.insert(name.clone());
                }
                kept
            });
        }
    }
}

fn note_task(shown: &mut Shown, task: usize) {
    if !shown.tasks.contains(&task) {
        shown.tasks.push(task);
    }
}
