"""A model that FuxiCTR trained, served: `python fuxictr_model.py MODEL CHECKPOINT DATA OUT`.

MODEL is the class (DIN, DCNv2, FinalMLP), CHECKPOINT the `.model` file that FuxiCTR wrote, DATA the folder of its
feature_map.json and feature_vocab.json. The parameters are those of model_config.yaml, `columns` those features whose
columns have another name in the dataset folder, `numbers` what its normalizers did: the price less its mean, over its
deviation, 0 where there was none.
"""

import sys
from pathlib import Path

from plugrank_training import Number, Transform, export_module, from_fuxictr

# --- The models, as model_config.yaml has them.
PARAMS = {
    "DIN": {"dnn_hidden_units": [32, 16], "attention_hidden_units": [16]},
    "DCNv2": {"parallel_dnn_hidden_units": [32, 16]},
    "FinalMLP": {"mlp1_hidden_units": [32], "mlp2_hidden_units": [32], "use_fs": False},
}

# --- What Plugrank needs to know of them.
MEAN, DEVIATION = 20.0, 12.5

if __name__ == "__main__":
    name, checkpoint, data, out = sys.argv[1:]
    trained = from_fuxictr(
        checkpoint,
        Path(data) / "feature_map.json",
        Path(data) / "feature_vocab.json",
        model=name,
        columns={"cate_id": "categories"},
        numbers={"price": Number(transform=Transform("standard", MEAN, DEVIATION), missing=-MEAN / DEVIATION)},
        max_len=10,
        embedding_dim=8,
        **PARAMS[name],
    )
    export_module(trained.model, trained.features, item_vector=trained.item_vector, out=out, name=name.lower())
