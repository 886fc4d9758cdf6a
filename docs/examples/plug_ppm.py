"""PPM plugged into the trained model of torch_model.py, which stays as it is: `python plug_ppm.py DATASET OUT`."""

import sys
from pathlib import Path

from torch_model import ClickNet, Host, features, train

from plugrank_training import Plugged, plug_ppm
from plugrank_training.config import Config


def plug(model: ClickNet, ids: dict[str, dict[str, int]], dataset: Path, out: Path, config: Config) -> Plugged:
    """Pre-train PPM on the folder, plug it in, write `out/bundle`."""
    return plug_ppm(Host(model), features(ids), dataset=dataset, out=out, config=config)


if __name__ == "__main__":
    folder, run = Path(sys.argv[1]), Path(sys.argv[2])
    # Without quick() it takes minutes and is good.
    made = plug(*train(folder), folder, run, Config().quick())
    print(f"AUC {made.host['auc']:.4f} alone, {made.unified['auc']:.4f} with PPM; {run / 'bundle'}")
