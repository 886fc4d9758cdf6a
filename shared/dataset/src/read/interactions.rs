//! `interactions.parquet`.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use plugrank_contract::{FeatureValue, ItemId, UserId};

use super::{
    Opened, Rules,
    batches::{Further, Row},
    cells::Cells,
    kind::{ColumnKind, Want},
    table::{Slice, Table},
    values::{Values, is_number, is_scalar},
};
use crate::{
    DatasetError, DatasetRule, InteractionRow,
    faults::Faults,
    names::{ACTION, ITEM_ID, LABEL, POSITION, REQUEST_ID, TIMESTAMP, USER_ID, VALUE},
    order::Order,
};

const NEEDED: [&str; 4] = [USER_ID, ITEM_ID, TIMESTAMP, LABEL];
const COLUMNS: [Want; 6] = [
    Want { column: USER_ID, kind: ColumnKind::Text, required: true },
    Want { column: ITEM_ID, kind: ColumnKind::Text, required: true },
    Want { column: TIMESTAMP, kind: ColumnKind::Time, required: true },
    Want { column: LABEL, kind: ColumnKind::Label, required: true },
    Want { column: REQUEST_ID, kind: ColumnKind::Text, required: false },
    Want { column: POSITION, kind: ColumnKind::Integer, required: false },
];

pub(crate) fn interactions(
    path: &Path,
    rules: Rules,
    with_requests: bool,
) -> Opened<InteractionRow> {
    let table = Table::open(path, &COLUMNS)?;
    let Further { features, ignored } = table.further(&COLUMNS);
    let told: Vec<String> = [(ACTION, is_scalar as fn(&_) -> _), (VALUE, is_number)]
        .into_iter()
        .filter(|(column, is)| table.has(column, *is))
        .map(|(column, _)| column.to_owned())
        .collect();
    let rest = [features, ignored].concat().into_iter().filter(|name| !told.contains(name));
    let further = Further { features: told.clone(), ignored: rest.collect() };
    let all = COLUMNS.map(|want| want.column);
    let columns: &[&str] = if with_requests { &all } else { &NEEDED };
    let columns: Vec<&str> =
        columns.iter().copied().chain(told.iter().map(String::as_str)).collect();
    let (mut order, mut actions, read) = (Order::default(), Actions::default(), told.clone());
    table.batches(&columns, further, move |slice| {
        decode(slice, rules, &read, &mut order, &mut actions)
    })
}

/// Names of actions that were met, so that rows share them.
#[derive(Default)]
struct Actions(BTreeSet<Arc<str>>);

impl Actions {
    /// Names that are kept; a log has a handful.
    const KEPT: usize = 1_000;

    fn named(&mut self, value: &FeatureValue) -> Option<Arc<str>> {
        let number = value.numbers().first().map(ToString::to_string);
        let name = value.texts().next().or(number.as_deref())?;
        if let Some(known) = self.0.get(name) {
            return Some(Arc::clone(known));
        }
        let name: Arc<str> = name.into();
        if self.0.len() < Self::KEPT {
            self.0.insert(Arc::clone(&name));
        }
        Some(name)
    }
}

fn decode(
    slice: &Slice<'_>,
    rules: Rules,
    told: &[String],
    order: &mut Order,
    actions: &mut Actions,
) -> Result<Vec<Row<InteractionRow>>, DatasetError> {
    let users = slice.cells(USER_ID, ColumnKind::Text)?;
    let items = slice.cells(ITEM_ID, ColumnKind::Text)?;
    let times = slice.cells(TIMESTAMP, ColumnKind::Time)?;
    let labels = slice.cells(LABEL, ColumnKind::Label)?;
    let requests = slice.optional(REQUEST_ID, ColumnKind::Text)?;
    let positions = slice.optional(POSITION, ColumnKind::Integer)?;
    let told = slice.features(told)?;
    let column = |name: &str| told.iter().find(|(column, _)| *column == name);
    let (action_cells, value_cells) = (column(ACTION), column(VALUE));
    // Rows of one request follow each other: their user is one allocation.
    let mut last_user: Option<UserId> = None;
    let mut row_of = |row: usize| {
        let mut faults = Faults::default();
        let user = faults.keep(users.id(row, UserId::MAX_BYTES));
        let user_id = user.map(|user| match last_user.take() {
            Some(last) if last.as_str() == user => last,
            _ => UserId::from(user),
        });
        last_user.clone_from(&user_id);
        let item_id = faults.keep(items.id(row, ItemId::MAX_BYTES)).map(ItemId::from);
        let timestamp = faults.keep(times.required_time(row, rules.milliseconds));
        let clicked = faults.keep(labels.label(row, rules.clicks_only));
        let position = faults.keep(position(positions.as_ref(), row));
        if let (Some(timestamp), Some(user_id), Some(item_id)) = (timestamp, &user_id, &item_id) {
            let sorted = order.check(timestamp, user_id, item_id);
            faults.keep(sorted.map_err(|problem| times.wrong(row, DatasetRule::Order, problem)));
        }
        let request_id =
            requests.as_ref().and_then(|requests| requests.text(row)).map(str::to_owned);
        let mut cell = |cells: Option<&(&str, Values<'_>)>| {
            let (_, cells) = cells?;
            faults.keep(cells.value(row)).flatten()
        };
        let action = cell(action_cells).and_then(|action| actions.named(&action));
        let value = cell(value_cells).and_then(|value| value.numbers().first().copied());
        let found = user_id.zip(item_id).zip(timestamp.zip(clicked)).zip(position);
        faults.row(found.map(|(((user_id, item_id), (timestamp, clicked)), position)| {
            InteractionRow {
                user_id,
                item_id,
                timestamp,
                clicked,
                request_id,
                position,
                action,
                value,
            }
        }))
    };
    Ok((0..slice.rows()).map(&mut row_of).collect())
}

fn position(cells: Option<&Cells<'_>>, row: usize) -> Result<Option<u32>, DatasetError> {
    let Some((cells, position)) = cells.and_then(|cells| Some((cells, cells.integer(row)?))) else {
        return Ok(None);
    };
    u32::try_from(position).map(Some).map_err(|_| {
        cells.wrong(row, DatasetRule::Range, format!("is {position}; positions count from 0"))
    })
}
