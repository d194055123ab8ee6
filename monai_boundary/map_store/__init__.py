"""Distance maps of whole volumes on disk: chunked files of which a patch is read, and what they were made of."""

from monai_boundary.map_store.manifest import MapRecord, SourceFile
from monai_boundary.map_store.settings import MapSettings
from monai_boundary.map_store.store import MapStore

__all__ = ["MapRecord", "MapSettings", "MapStore", "SourceFile"]
