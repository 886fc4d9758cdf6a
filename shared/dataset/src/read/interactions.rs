//! `interactions.parquet`.

use std::path::Path;

use plugrank_contract::{ItemId, UserId};

use super::{
    Opened, Rules,
    batches::Row,
    cells::Cells,
    kind::{ColumnKind, Want},
    table::{Slice, Table},
};
use crate::{
    DatasetError, DatasetRule, InteractionRow,
    faults::Faults,
    names::{ITEM_ID, LABEL, POSITION, REQUEST_ID, TIMESTAMP, USER_ID},
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
    let (text, rest) = table.further(&COLUMNS);
    let all = COLUMNS.map(|want| want.column);
    let columns: &[&str] = if with_requests { &all } else { &NEEDED };
    let mut order = Order::default();
    table.batches(columns, [text, rest].concat(), move |slice| decode(slice, rules, &mut order))
}

fn decode(
    slice: &Slice<'_>,
    rules: Rules,
    order: &mut Order,
) -> Result<Vec<Row<InteractionRow>>, DatasetError> {
    let users = slice.cells(USER_ID, ColumnKind::Text)?;
    let items = slice.cells(ITEM_ID, ColumnKind::Text)?;
    let times = slice.cells(TIMESTAMP, ColumnKind::Time)?;
    let labels = slice.cells(LABEL, ColumnKind::Label)?;
    let requests = slice.optional(REQUEST_ID, ColumnKind::Text)?;
    let positions = slice.optional(POSITION, ColumnKind::Integer)?;
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
        let found = user_id.zip(item_id).zip(timestamp.zip(clicked)).zip(position);
        faults.row(found.map(|(((user_id, item_id), (timestamp, clicked)), position)| {
            InteractionRow { user_id, item_id, timestamp, clicked, request_id, position }
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
