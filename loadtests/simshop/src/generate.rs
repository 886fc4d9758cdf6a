//! Makes a dataset folder.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, bail};
use plugrank_contract::{Item, ItemId, UserId};
use plugrank_dataset::{
    DATASET_JSON, DatasetItem, DatasetMeta, FeatureType, INTERACTIONS, ITEMS, InteractionRow,
    InteractionWriter, ItemWriter, Negatives, TRUTH, Time, TruthRow, TruthWriter, USERS,
    UserWriter,
};
use serde_json::{Map, json};

use crate::{
    catalog::{Catalog, Traits},
    click_model::{ClickModel, sigmoid},
    dice::{Draw, dice, unit},
    picture,
    plan::ShopPlan,
    progress::bar,
    prose,
    shoppers::{Shoppers, USER_FEATURES},
    traffic::{Request, Traffic},
    words::{brands::BRANDS, departments::DEPARTMENTS},
};

/// Columns of `items.parquet` beside the fixed ones.
const ITEM_FEATURES: [&str; 3] = ["brand", "material", "price_band"];
/// Folder of the pictures.
const IMAGES: &str = "images";
/// Pictures in one folder, so that no folder grows too large.
const IMAGES_A_FOLDER: usize = 1000;

/// What was made.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The folder.
    pub folder: PathBuf,
    /// Items.
    pub items: u64,
    /// Items with a picture.
    pub images: u64,
    /// Users.
    pub users: u64,
    /// Impressions.
    pub impressions: u64,
    /// Clicks among them.
    pub clicks: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl fmt::Display for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { items, images, users, impressions, clicks, seconds, .. } = self;
        write!(
            f,
            "{}: {items} items ({images} with a picture), {users} users, {impressions} \
             impressions, {clicks} clicks ({:.4}), in {seconds:.1} s",
            self.folder.display(),
            *clicks as f64 / *impressions as f64,
        )
    }
}

/// Makes the dataset folder that a plan describes.
///
/// # Errors
/// The plan cannot be made, the folder has a dataset already (unless `overwrite`), or the disk
/// refuses.
pub fn generate(plan: &ShopPlan, folder: &Path, overwrite: bool) -> anyhow::Result<Generated> {
    plan.check()?;
    clear(folder, overwrite)?;
    let begun = Instant::now();
    let catalog = Catalog::draw(plan);
    let shoppers = Shoppers::draw(plan);
    let (items, images) = write_items(plan, &catalog, folder)?;
    let users = write_users(&shoppers, folder)?;
    let model = calibrated(plan, &catalog, &shoppers);
    let (impressions, clicks) = write_log(plan, &catalog, &shoppers, &model, folder)?;
    // Last of all: a folder without it is not whole.
    write_meta(plan, &model, folder)?;
    let seconds = begun.elapsed().as_secs_f64();
    let folder = folder.to_owned();
    Ok(Generated { folder, items, images, users, impressions, clicks, seconds })
}

/// Takes away what an earlier run made.
fn clear(folder: &Path, overwrite: bool) -> anyhow::Result<()> {
    let files = [DATASET_JSON, ITEMS, USERS, INTERACTIONS, TRUTH].map(|name| folder.join(name));
    let images = folder.join(IMAGES);
    let there = files.iter().chain([&images]).find(|path| path.exists());
    let Some(path) = there else {
        return Ok(());
    };
    if !overwrite {
        bail!("{} is there already; choose another --out, or give --overwrite", path.display());
    }
    for file in files.iter().filter(|file| file.exists()) {
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    if images.exists() {
        fs::remove_dir_all(&images)
            .with_context(|| format!("cannot remove {}", images.display()))?;
    }
    Ok(())
}

fn write_items(plan: &ShopPlan, catalog: &Catalog, folder: &Path) -> anyhow::Result<(u64, u64)> {
    let mut writer =
        ItemWriter::create(folder, &ITEM_FEATURES.map(|name| (name, FeatureType::TEXT)))?;
    let bar = bar("items", catalog.items.len() as u64);
    let mut images = 0;
    for (index, item) in catalog.items.iter().enumerate() {
        let row = item_row(plan, item, index);
        if let Some(image) = &row.image {
            save(&folder.join(image), &item_picture(plan, item, index)?)?;
            images += 1;
        }
        writer.write(row)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok((writer.finish()?, images))
}

pub(crate) fn item_row(plan: &ShopPlan, item: &Traits, index: usize) -> DatasetItem {
    let mut rng = dice(plan.seed, Draw::ItemText, index as u64);
    let has_text = unit(&mut rng) < plan.text_share;
    let has_image = unit(&mut rng) < plan.image_share && !plan.no_images;
    let prose = prose::write(item, &mut rng);
    let department = &DEPARTMENTS[usize::from(item.department)];
    let (shelf, _) = department.shelves[usize::from(item.shelf)];
    let values = [BRANDS[usize::from(item.brand)], prose.material, price_band(item.price)];
    let features = ITEM_FEATURES
        .into_iter()
        .zip(values)
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let number = index + 1;
    let image = format!("{IMAGES}/{}/i{number}.jpg", index / IMAGES_A_FOLDER);
    DatasetItem {
        item: Item {
            item_id: item_id(index),
            title: prose.title,
            text: if has_text { prose.text } else { String::new() },
            categories: vec![department.name.to_owned(), shelf.to_owned()],
            created_at: Some(item.created_at),
            available: true,
            image_hash: None,
            features,
        },
        image: has_image.then_some(image),
    }
}

/// The picture of an item that has one, as a JPEG.
pub(crate) fn item_picture(
    plan: &ShopPlan,
    item: &Traits,
    index: usize,
) -> anyhow::Result<Vec<u8>> {
    picture::draw(item, &mut dice(plan.seed, Draw::ItemPicture, index as u64))
}

/// Fifths of the standard normal distribution.
fn price_band(price: f32) -> &'static str {
    match price {
        p if p < -0.84 => "1",
        p if p < -0.25 => "2",
        p if p < 0.25 => "3",
        p if p < 0.84 => "4",
        _ => "5",
    }
}

fn save(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn write_users(shoppers: &Shoppers, folder: &Path) -> anyhow::Result<u64> {
    let mut writer =
        UserWriter::create(folder, &USER_FEATURES.map(|name| (name, FeatureType::TEXT)))?;
    for (index, user) in shoppers.users.iter().enumerate() {
        writer.write(user.row(index))?;
    }
    Ok(writer.finish()?)
}

/// The click model with the bias that meets the planned click rate on a pilot log.
fn calibrated(plan: &ShopPlan, catalog: &Catalog, shoppers: &Shoppers) -> ClickModel {
    let mut model = ClickModel::unbiased(plan);
    let logits: Vec<f64> = Traffic::pilot(plan, catalog, shoppers)
        .flat_map(|request| logits(&model, catalog, shoppers, &request))
        .collect();
    model.calibrate(&logits, plan.ctr);
    model
}

/// Logits of a list, by position.
fn logits(
    model: &ClickModel,
    catalog: &Catalog,
    shoppers: &Shoppers,
    request: &Request,
) -> Vec<f64> {
    let user = &shoppers.users[request.user];
    let at = |(position, &item): (usize, &usize)| {
        model.logit(catalog, user, &catalog.items[item], request.progress, position)
    };
    request.shown.iter().enumerate().map(at).collect()
}

fn write_log(
    plan: &ShopPlan,
    catalog: &Catalog,
    shoppers: &Shoppers,
    model: &ClickModel,
    folder: &Path,
) -> anyhow::Result<(u64, u64)> {
    let mut writer = InteractionWriter::create(folder)?;
    let mut truth = TruthWriter::create(folder)?;
    let mut rng = dice(plan.seed, Draw::Clicks, 0);
    let bar = bar("impressions", plan.impressions);
    let mut clicks = 0;
    for (number, request) in Traffic::new(plan, catalog, shoppers).enumerate() {
        let user_id: UserId = format!("u{}", request.user + 1).into();
        let request_id = format!("r{}", number + 1);
        let mut rows: Vec<(usize, usize, f64)> = logits(model, catalog, shoppers, &request)
            .into_iter()
            .zip(&request.shown)
            .enumerate()
            .map(|(position, (logit, &item))| (item, position, sigmoid(logit)))
            .collect();
        // Item numbers in order are item ids in order.
        rows.sort_unstable_by_key(|&(item, ..)| item);
        bar.inc(rows.len() as u64);
        for (item, position, probability) in rows {
            let clicked = unit(&mut rng) < probability;
            clicks += u64::from(clicked);
            let item_id = item_id(item);
            truth.write(TruthRow {
                user_id: user_id.clone(),
                item_id: item_id.clone(),
                timestamp: request.timestamp,
                probability: probability as f32,
            })?;
            writer.write(InteractionRow {
                user_id: user_id.clone(),
                item_id,
                timestamp: request.timestamp,
                clicked,
                request_id: Some(request_id.clone()),
                position: Some(position as u32),
                action: None,
                value: None,
            })?;
        }
    }
    bar.finish_and_clear();
    truth.finish()?;
    Ok((writer.finish()?, clicks))
}

fn item_id(index: usize) -> ItemId {
    format!("i{}", index + 1).into()
}

fn write_meta(plan: &ShopPlan, model: &ClickModel, folder: &Path) -> anyhow::Result<()> {
    let mut more = Map::new();
    more.insert("simulator".to_owned(), json!({ "plan": plan, "click_model": model }));
    DatasetMeta {
        name: format!("simshop-{}", plan.seed),
        time: Time::Ms,
        negatives: Negatives::Logged,
        more,
    }
    .write(folder)?;
    Ok(())
}
