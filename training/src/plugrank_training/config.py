"""Training configuration: dataclasses with defaults, overridden by a TOML file."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from plugrank_training.feature_config import ConfigError, FeaturesConfig, check_features
from plugrank_training.models.schema import MAIN_TASK

# As `encoder` of text or image: leave that modality out.
NO_ENCODER = "none"


@dataclass(frozen=True)
class TextConfig:
    """The text encoder (BERT-type, contrastive); `steps = 0` uses it frozen.

    Sizes, vocabulary and dropout are those of our own encoder, `small`.
    """

    # `small`; a Hugging Face name or folder; `package:NAME`, a Python package that carries one; or `none`.
    encoder: str = "small"
    dim: int = 64
    layers: int = 1
    heads: int = 4
    vocabulary: int = 6000
    max_tokens: int = 48
    steps: int = 200
    batch: int = 64
    learning_rate: float = 1e-3
    temperature: float = 0.07
    dropout: float = 0.1
    # Share of a batch's pairs that are two items clicked by one user, the rest being title and description.
    clicked_pairs: float = 0.7
    # Share of the other pairs that are two random halves of an item's sentences, rather than title and description.
    halves: float = 0.0


@dataclass(frozen=True)
class ImageConfig:
    """The image encoder (a residual network that predicts categories); `epochs = 0` uses it frozen."""

    # `small`, the name of a torchvision network, such as `resnet18`, or `none`.
    encoder: str = "small"
    # Of a torchvision network: none, a file, or the name of published weights (`DEFAULT`).
    weights: str = ""
    dim: int = 32
    width: int = 48
    height: int = 64
    channels: int = 24
    # What a picture is to tell: the item's `categories`, or its `text` (contrastive, against the text's vector).
    objective: str = "categories"
    epochs: int = 8
    batch: int = 64
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class HistoryConfig:
    """How much of the past is read: the last so many clicked and not clicked items."""

    clicks: int = 50
    impressions: int = 50


@dataclass(frozen=True)
class PpmConfig:
    """The pre-trained plug-in: item projection, history transformer, target attention."""

    dim: int = 32
    layers: int = 1
    heads: int = 2
    attention_heads: int = 2
    key_dim: int = 16
    value_dim: int = 8
    dropout: float = 0.1
    epochs: int = 3
    # Share of the newest training rows that pre-training reads (1 = the whole long window).
    window: float = 1.0
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    # Chance that an item's vector is replaced by the learned missing-vector in a training step.
    drop_item: float = 0.05
    # Traits that a ridge regression over the history weighs, read off the item vector, 0 for none; and its steps.
    taste: int = 0
    taste_steps: int = 8


@dataclass(frozen=True)
class NextClickConfig:
    """Next-click pre-training of PPM, where only clicks were recorded; 0 epochs leave it out."""

    epochs: int = 4
    # Also where impressions without a click were logged.
    logged: bool = False
    # Entries of a chunk at most, clicks of a batch about, and negatives drawn for a batch.
    length: int = 120
    clicks: int = 3200
    negatives: int = 500
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class CovisitConfig:
    """Item vectors from what is clicked close together, an input of every click model; 0 dimensions leave it out."""

    dim: int = 64
    # Also where impressions without a click were logged.
    logged: bool = False
    # Clicks of one user at most so many apart count as together.
    reach: int = 20


@dataclass(frozen=True)
class SimilarityConfig:
    """How like a candidate's content is to the history's, an input of UniM; 0 dimensions leave it out."""

    # Of each content space at most.
    dim: int = 0
    # How many tiers of cosine clicked and refused entries are counted in (SimTier); 0 leaves the counts out.
    tiers: int = 0
    # Whether means and nearest entries are read; without them, tiers alone.
    smooth: bool = True


@dataclass(frozen=True)
class SemanticIdConfig:
    """Codes of items by residual quantisation of their modal vectors, an input of UniM beside ids; 0 levels leave it
    out."""

    # Codes of an item, each of what the ones before leave of its vector.
    levels: int = 0
    # How many codes there are of each level.
    codes: int = 64
    # Of a code's embedding.
    dim: int = 16


@dataclass(frozen=True)
class ListConfig:
    """Training click models for the lists they are served in: clicks against items of the whole catalog.

    Beside the logged impressions every click has a sampled softmax against drawn items (docs/train.md, "Lists").
    """

    # Share of the list loss in what click models train and are judged by; 0 leaves it out.
    share: float = 0.0
    # Which output it trains: that of `click`, `joint`, or one that lists alone are ordered by, `own`.
    output: str = "joint"
    # Drawn for each list of impressions (one user and time).
    negatives: int = 40
    # Share drawn as retrieval's sources name items to that user; the rest from the whole catalog.
    hard: float = 0.5
    # Of that rest, the share drawn by how often items are clicked; what is left, evenly.
    popular: float = 0.5
    # Half-life, in days, of the clicks that popular items are drawn by, as of each list's own moment; 0: all alike.
    popular_days: float = 0.0

    @property
    def own(self) -> bool:
        """Whether lists are ordered by an output of their own."""
        return self.share > 0 and self.output == "own"


@dataclass(frozen=True)
class RetrievalConfig:
    """Training PPM's item vectors for nearest neighbours, by a softmax within the batch; a share of 0 leaves it out."""

    # Weight of this loss, beside the click loss of UniM.
    share: float = 0.0
    # Cosines are divided by it.
    temperature: float = 0.1


@dataclass(frozen=True)
class HostConfig:
    """The ID-based host."""

    # `lr`, `deepfm`, `dcnv2`, `din`, `fuxictr:MODEL`, or `MODULE:CLASS` of one's own (docs/train.md, "Hosts").
    kind: str = "din"
    embedding_dim: int = 16
    attention_heads: int = 2
    key_dim: int = 16
    value_dim: int = 8
    # Of DCNv2.
    cross_layers: int = 2
    # Whether click models also read how often each item was clicked in training.
    popularity: bool = False
    # Half-lives, in days, of the clicks on a candidate up to the impression's own moment, which click models then read;
    # none leave it out.
    recent_clicks_days: tuple[float, ...] = ()
    # Whether click models also read the click rate of a candidate's impressions up to the impression's own moment, as
    # log-odds that enter the logit with a weight of 1 to begin with.
    click_rates: bool = False
    # Passed on to the constructor of a FuxiCTR model.
    options: dict[str, Any] = field(default_factory=dict)
    # An id with fewer training rows than this has no embedding of its own.
    min_count: int = 2
    # Chance that an item's id is replaced by "any other" in a training step: cold ids are learned so.
    drop_item_id: float = 0.1
    # The same for user ids; high, because most future users are new and the history already tells a user apart.
    drop_user_id: float = 0.5

    @property
    def reads_recent(self) -> bool:
        """Whether anything is read of what was known of candidates at each moment."""
        return self.click_rates or bool(self.recent_clicks_days)


@dataclass(frozen=True)
class UnifiedConfig:
    """End-to-end training of a click model (IDRec alone, or the host with PPM plugged in)."""

    hidden: int = 64
    hidden2: int = 32
    dropout: float = 0.2
    epochs: int = 4
    # Stop when so many evaluations in a row did not improve the validation loss.
    patience: int = 2
    # Evaluations on the validation part in each epoch.
    evaluations: int = 1
    learning_rate: float = 2e-3
    embedding_learning_rate: float = 2e-3
    embedding_weight_decay: float = 0.5
    # Whether networks train once more with the validation part's rows, for as long as it said, before they are scored
    # on the test part, listed for it or exported.
    refit: bool = False
    # Chance that a whole history is hidden in a training step: what to show to users without a past is learned so.
    drop_history: float = 0.0
    # Chance that only the newest entries of a history, 0 to 20 of them, are left in a training step: what to show to
    # users with a short past is learned so.
    shorten_history: float = 0.0
    # Whether what each branch says of a pair is scaled by how much past there is.
    gate: bool = False
    # Whether a user's own click rate enters the logit as log-odds with a weight of 1 to begin with.
    user_level: bool = False
    # Whether a step touches only the rows of id tables that its batch reads (one process only).
    sparse_embeddings: bool = False
    weight_decay: float = 1e-3
    # Share of the newest training rows that are read (the recent window).
    window: float = 1.0
    # Share of the in-user ranking loss in what click models and PPM train and are judged by; the rest is log loss.
    ranking: float = 0.0
    # Parameter groups that stay as they were pre-trained, by the names the table of groups prints.
    freeze: tuple[str, ...] = ()

    def pretraining(self) -> tuple[float, ...]:
        """What PPM's pre-training reads of it: the head, and how a fit is judged."""
        head = self.hidden, self.hidden2, self.dropout, self.gate, self.user_level
        return *head, self.evaluations, self.patience, self.ranking


@dataclass(frozen=True)
class IncrementConfig:
    """Going on from a bundle with the newest days (`train --from`)."""

    epochs: int = 1
    # Of the learning rates of the first training.
    learning_rate_scale: float = 0.3
    # Share of the newest days' rows, the last ones, that judge and calibrate.
    valid: float = 0.2


@dataclass(frozen=True)
class BatchConfig:
    """How examples are batched: rows of one user and time share one history."""

    candidates: int = 8
    rows: int = 512
    eval_rows: int = 2048


@dataclass(frozen=True)
class TasksConfig:
    """What is predicted beside `click`: every column `label_NAME` of the interactions."""

    # Of each task's loss beside that of `click`, 1 where it is not named; 0 leaves the task out.
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """Everything a training run depends on besides its data, its split and its seed."""

    text: TextConfig = field(default_factory=TextConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    ppm: PpmConfig = field(default_factory=PpmConfig)
    next_clicks: NextClickConfig = field(default_factory=NextClickConfig)
    covisits: CovisitConfig = field(default_factory=CovisitConfig)
    similarity: SimilarityConfig = field(default_factory=SimilarityConfig)
    semantic_ids: SemanticIdConfig = field(default_factory=SemanticIdConfig)
    host: HostConfig = field(default_factory=HostConfig)
    lists: ListConfig = field(default_factory=ListConfig)
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    unified: UnifiedConfig = field(default_factory=UnifiedConfig)
    increment: IncrementConfig = field(default_factory=IncrementConfig)
    batch: BatchConfig = field(default_factory=BatchConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    tasks: TasksConfig = field(default_factory=TasksConfig)
    categories_length: int = 6
    calibration: str = "platt"
    # What item records and user states are cached in: "f32", or "f16" for half the memory and scores a little
    # further from torch's, because a last bit that rounds the other way is a step of its own.
    cache_dtype: str = "f32"

    def quick(self) -> Config:
        """A copy that trains in seconds: for trying things out, not for quality."""
        change = dataclasses.replace
        return change(
            self,
            text=change(self.text, steps=20, layers=1),
            image=change(self.image, epochs=1),
            ppm=change(self.ppm, epochs=1),
            next_clicks=change(self.next_clicks, epochs=min(1, self.next_clicks.epochs)),
            unified=change(self.unified, epochs=1, evaluations=1),
        )

    def suited_to(self, clicks_only: bool) -> Config:
        """A copy without the stages that are for clicks alone, unless there are only clicks or they are asked for."""
        if clicks_only:
            return self
        change = dataclasses.replace
        next_clicks = self.next_clicks if self.next_clicks.logged else change(self.next_clicks, epochs=0)
        covisits = self.covisits if self.covisits.logged else change(self.covisits, dim=0)
        return change(self, next_clicks=next_clicks, covisits=covisits)

    def check(self) -> None:
        """Refuse values that cannot work, naming the key."""
        for section_name, section in sections(self):
            for option in dataclasses.fields(section):
                key = f"{section_name}.{option.name}"
                check_value(key, option.name, getattr(section, option.name))
        if self.text.dim % self.text.heads:
            raise ConfigError("text.dim must be a multiple of text.heads")
        if self.ppm.dim % self.ppm.heads:
            raise ConfigError("ppm.dim must be a multiple of ppm.heads")
        if self.text.encoder == self.image.encoder == NO_ENCODER:
            raise ConfigError("text.encoder and image.encoder cannot both be `none`: PPM needs content to read")
        if self.image.objective not in ("categories", "text"):
            raise ConfigError(f"image.objective = `{self.image.objective}`: `categories` or `text`")
        if self.image.objective == "text" and self.text.encoder == NO_ENCODER:
            raise ConfigError("image.objective = `text` needs a text encoder; text.encoder is `none`")
        if self.categories_length < 1:
            raise ConfigError("categories_length must be at least 1")
        if any(days <= 0 for days in self.host.recent_clicks_days):
            raise ConfigError("host.recent_clicks_days: half-lives must be above 0")
        if self.lists.output not in ("joint", "own"):
            raise ConfigError(f"lists.output = `{self.lists.output}`: `joint` or `own`")
        if self.lists.own and self.lists.share == 1.0:
            raise ConfigError("lists.share must be below 1 where lists.output is `own`: `click` would not train")
        if self.lists.share == 1.0 and self.lists.hard == 1.0:
            raise ConfigError("lists.hard must be below 1: users without clicks have no hard negatives")
        if self.similarity.dim and not self.similarity.smooth and not self.similarity.tiers:
            raise ConfigError("similarity.smooth = false leaves similarity.tiers alone to be read; it must be above 0")
        if self.unified.shorten_history and "ppm.transformer" in self.unified.freeze:
            raise ConfigError(
                "unified.shorten_history cuts histories; ppm.transformer, which unified.freeze names, stores states of "
                "whole ones"
            )
        if self.retrieval.share and "ppm.projection" in self.unified.freeze:
            raise ConfigError("retrieval.share trains ppm.projection, which unified.freeze names")
        check_features(self.features)
        for task, weight in self.tasks.weights.items():
            if task == MAIN_TASK or weight < 0:
                raise ConfigError(f"tasks.weights.{task} = {weight}: weights are 0 or more, of tasks beside `click`")
        if self.calibration not in ("platt", "isotonic"):
            raise ConfigError("calibration must be `platt` or `isotonic`")
        if self.cache_dtype not in ("f32", "f16"):
            raise ConfigError("cache_dtype must be `f32` or `f16`")
        if self.cache_dtype == "f16" and ":" in self.host.kind:
            raise ConfigError(f"cache_dtype = `f16` cannot carry the ids that host.kind = `{self.host.kind}` reads")


SHARES = frozenset(
    [
        "dropout",
        "drop_item",
        "drop_item_id",
        "drop_user_id",
        "drop_history",
        "clicked_pairs",
        "halves",
        "window",
        "valid",
        "ranking",
        "share",
        "hard",
        "popular",
        "drop_history",
        "shorten_history",
    ]
)
MAY_BE_ZERO = SHARES | {
    "epochs",
    "popular_days",
    "steps",
    "weight_decay",
    "embedding_weight_decay",
    "impressions",
    "covisits.dim",
    "ppm.taste",
    "similarity.dim",
    "similarity.tiers",
    "semantic_ids.levels",
}


def sections(config: Config) -> list[tuple[str, Any]]:
    """The nested dataclasses of a configuration, with their names."""
    found = [(item.name, getattr(config, item.name)) for item in dataclasses.fields(config)]
    return [(name, value) for name, value in found if dataclasses.is_dataclass(value)]


def check_value(key: str, name: str, value: Any) -> None:
    """Numbers must be positive (a few may be 0), shares within 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if name in SHARES and not 0 <= value <= 1:
        raise ConfigError(f"{key} = {value}: must lie between 0 and 1")
    if name == "window" and value == 0:
        raise ConfigError(f"{key} = 0: must be above 0")
    if value < 0 or (value == 0 and name not in MAY_BE_ZERO and key not in MAY_BE_ZERO):
        raise ConfigError(f"{key} = {value}: must be above 0")


def from_mapping(kind: type[Any], values: dict[str, Any], prefix: str = "") -> Any:
    """Build a dataclass from nested tables; unknown keys and wrong types are errors that name the key."""
    known = {item.name: item for item in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in known:
            raise ConfigError(f"unknown key `{key}`; known here: {', '.join(sorted(known))}")
        arguments[name] = convert(hints[name], value, key)
    return kind(**arguments)


def convert(wanted: Any, value: Any, key: str) -> Any:
    """One TOML value as the type its field has."""
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        if not isinstance(value, dict):
            raise ConfigError(f"`{key}` must be a table, [{key}]")
        return from_mapping(wanted, value, f"{key}.")
    if wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if wanted in (int, str, bool) and type(value) is wanted:
        return value
    if wanted == dict[str, Any] and isinstance(value, dict):
        return value
    if get_origin(wanted) is dict and isinstance(value, dict):
        return {name: convert(get_args(wanted)[1], entry, f"{key}.{name}") for name, entry in value.items()}
    if wanted == tuple[str, ...] and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    if wanted == tuple[float, ...] and isinstance(value, list):
        return tuple(convert(float, entry, key) for entry in value)
    name = getattr(wanted, "__name__", str(wanted))
    raise ConfigError(f"`{key}` must be of type {name}, not {type(value).__name__}")


def load_config(path: Path | None) -> Config:
    """The defaults, overridden by the TOML file where one is given."""
    if path is None:
        return Config()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path}: cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--config {path}: not valid TOML: {error}") from error
    config: Config = from_mapping(Config, values)
    config.check()
    return config
