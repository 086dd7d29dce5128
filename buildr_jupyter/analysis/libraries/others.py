"""Other packages: which of their functions read and write files, and which of them change another package."""

from __future__ import annotations

from buildr_jupyter.analysis.libraries.names import words

__all__ = ["FILE_READERS", "FILE_WRITERS", "FILE_WRITER_METHODS", "IMPORTS_THAT_CHANGE"]

FILE_READERS = {
    "joblib.load": 0, "PIL.Image.open": 0, "cv2.imread": 0, "skimage.io.imread": 0, "imageio.imread": 0,
    "imageio.v2.imread": 0, "imageio.v3.imread": 0, "h5py.File": 0, "netCDF4.Dataset": 0, "xarray.open_dataset": 0,
    "geopandas.read_file": 0, "torch.load": 0,
}  # fmt: skip
FILE_WRITERS = {"joblib.dump": 1, "torch.save": 1}
FILE_WRITER_METHODS = words("save_model")  # xgboost, lightgbm
IMPORTS_THAT_CHANGE = {
    "scienceplots": "matplotlib", "hvplot": "pandas", "swifter": "pandas", "sklearnex": "sklearn",
    "pandas_": "pandas",  # pandas_profiling, pandas_bokeh
}  # fmt: skip
