"""Any click log to a bundle by Plugrank's own training: `python our_training.py LOG_TOML OUT`."""

import sys
from pathlib import Path

from plugrank_training.cli import main

if __name__ == "__main__":
    log_toml, out = Path(sys.argv[1]), Path(sys.argv[2])
    dataset = out / "dataset"
    status = main(["convert", "--map", str(log_toml), str(dataset)])
    # Without --quick it takes minutes and is good.
    sys.exit(status or main(["train", "--dataset", str(dataset), "--out", str(out), "--quick"]))
