r"""Make the benign files of formats that name code: skops, MLflow, R data.

How to run it, in a fresh environment with Python 3.11::

    python3.11 -m venv /tmp/benign-configurations
    /tmp/benign-configurations/bin/pip install skops==0.16.0 scikit-learn==1.9.1 \
        mlflow-skinny==3.17.2 pyreadr==0.5.8 pandas
    /tmp/benign-configurations/bin/python tests/benign/make_configurations.py

That rewrites ``files/skops/``, ``files/mlflow/`` and ``files/r/``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

FILES = Path(__file__).parent / "files"


def fresh(name: str) -> Path:
    """An empty folder of that name."""
    folder = FILES / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def data() -> tuple[list[list[float]], list[int]]:
    """Forty points in two classes."""
    points = [[float(i % 7), float(i % 5), i / 40] for i in range(40)]
    return points, [int(i % 7 > 3) for i in range(40)]


def make_skops() -> None:
    """Pipelines of scikit-learn, saved with skops."""
    import numpy as np
    import skops.io
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler
    from sklearn.svm import SVC

    folder = fresh("skops")
    points, classes = data()
    logarithm = FunctionTransformer(np.log1p)
    for name, model in {
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
        "function": make_pipeline(logarithm, LogisticRegression()),
        "forest": RandomForestClassifier(2, max_depth=2, random_state=0),
        "search": GridSearchCV(SVC(), {"C": [1, 2]}, cv=2),
    }.items():
        skops.io.dump(
            model.fit(points, classes), folder / f"{name}.skops", compresslevel=9, compression=8
        )
    words = TfidfVectorizer().fit(["some words here", "other words there"])
    skops.io.dump(words, folder / "words.skops", compression=8, compresslevel=9)


def make_mlflow() -> None:
    """A model of scikit-learn, logged as MLflow does: its description and its environment."""
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    folder = fresh("mlflow")
    points, classes = data()
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "model"
        mlflow.sklearn.save_model(
            LogisticRegression().fit(points, classes),
            str(target),
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn==1.9.1"],
        )
        for name in ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"):
            shutil.copy(target / name, folder / name)


def make_r() -> None:
    """Tables as R's own format, plain and compressed."""
    import pandas
    import pyreadr

    folder = fresh("r")
    table = pandas.DataFrame({"x": [1.0, 2.0, None], "name": ["a", "b", "c"], "n": [1, 2, 3]})
    pyreadr.write_rds(str(folder / "table.rds"), table)
    pyreadr.write_rds(str(folder / "table.rds.gz"), table, compress="gzip")
    pyreadr.write_rdata(str(folder / "table.RData"), table, df_name="table")


if __name__ == "__main__":
    make_skops()
    make_mlflow()
    make_r()
