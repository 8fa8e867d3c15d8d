"""featx: product photos in, categories and look-alikes out.

    photos → catalogue → images → backbone → store → classifiers / index → report

`featx/README.md` draws the rooms in the order photos pass them; `docs/python.md` describes every public name.
The public names are loaded when first used, so `import featx` is instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from featx.version import __version__ as __version__

# name → the module that defines it, and the name it has there, where that is longer
_PUBLIC: dict[str, str] = {
    "FeatxError": "featx.errors",
    "read_catalogue": "featx.catalogue.reading",
    "read_photo": "featx.images",
    "open_backbone": "featx.backbones",
    "extract": "featx.extraction",
    "read": "featx.text.reading:read_store",
    "read_texts": "featx.text",
    "open_store": "featx.store",
    "Store": "featx.store",
    "use_store": "featx.workspace",
    "ImageEmbedder": "featx.embedding.transformer",
    "fit": "featx.classifiers.fit",
    "tune": "featx.finetuning.run",
    "Tuned": "featx.finetuning.outcome",
    "FineTunedFeatures": "featx.finetuning.transformer",
    "Classifier": "featx.classifiers.model",
    "save": "featx.classifiers.model",
    "load_classifier": "featx.classifiers.model",
    "compare": "featx.comparison.compare",
    "compare_backbones": "featx.comparison.local_backbones",
    "Comparison": "featx.comparison",
    "evaluate": "featx.comparison.evaluate",
    "predict": "featx.prediction.predict",
    "explain": "featx.explanation.explainer",
    "explain_similar": "featx.explanation.resemblance",
    "inspect": "featx.inspection.inspector",
    "suggest": "featx.prediction.suggest",
    "update": "featx.prediction.update",
    "similar": "featx.retrieval.query",
    "open_index": "featx.retrieval.query",
    "find_duplicates": "featx.audit",
    "find_issues": "featx.audit",
    "report": "featx.reporting:write_report",
    "ProgressBar": "featx.views.progress",
    "export": "featx.exporting.features:export_store",
    "deploy": "featx.deployment.folder",
    "serve": "featx.server.run",
}
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604

if TYPE_CHECKING:
    from featx.audit import find_duplicates as find_duplicates
    from featx.audit import find_issues as find_issues
    from featx.backbones import open_backbone as open_backbone
    from featx.catalogue.reading import read_catalogue as read_catalogue
    from featx.classifiers.fit import fit as fit
    from featx.classifiers.model import Classifier as Classifier
    from featx.classifiers.model import load_classifier as load_classifier
    from featx.classifiers.model import save as save
    from featx.comparison import Comparison as Comparison
    from featx.comparison.compare import compare as compare
    from featx.comparison.evaluate import evaluate as evaluate
    from featx.comparison.local_backbones import compare_backbones as compare_backbones
    from featx.deployment.folder import deploy as deploy
    from featx.embedding.transformer import ImageEmbedder as ImageEmbedder
    from featx.errors import FeatxError as FeatxError
    from featx.explanation.explainer import explain as explain
    from featx.explanation.resemblance import explain_similar as explain_similar
    from featx.exporting.features import export_store
    from featx.extraction import extract as extract
    from featx.finetuning.outcome import Tuned as Tuned
    from featx.finetuning.run import tune as tune
    from featx.finetuning.transformer import FineTunedFeatures as FineTunedFeatures
    from featx.images import read_photo as read_photo
    from featx.inspection.inspector import inspect as inspect
    from featx.prediction.predict import predict as predict
    from featx.prediction.suggest import suggest as suggest
    from featx.prediction.update import update as update
    from featx.reporting import write_report
    from featx.retrieval.query import open_index as open_index
    from featx.retrieval.query import similar as similar
    from featx.server.run import serve as serve
    from featx.store import Store as Store
    from featx.store import open_store as open_store
    from featx.text import read_texts as read_texts
    from featx.text.reading import read_store
    from featx.views.progress import ProgressBar as ProgressBar
    from featx.workspace import use_store as use_store

    report, export, read = write_report, export_store, read_store
else:

    def __getattr__(name: str) -> object:
        import importlib

        if name not in _PUBLIC:
            raise AttributeError(f"module 'featx' has no attribute {name!r}")
        module, _, inside = _PUBLIC[name].partition(":")
        value = getattr(importlib.import_module(module), inside or name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
