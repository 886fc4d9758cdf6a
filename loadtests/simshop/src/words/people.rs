//! What is known about users.

pub(crate) const AGE_BANDS: [&str; 6] = ["18-24", "25-34", "35-44", "45-54", "55-64", "65+"];
pub(crate) const INCOME_BANDS: [&str; 5] = ["lowest", "low", "middle", "high", "highest"];
pub(crate) const HOUSEHOLDS: [&str; 4] = ["single", "couple", "family", "shared"];
pub(crate) const REGIONS: [&str; 8] =
    ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];
