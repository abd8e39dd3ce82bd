"""Where everything Okaeri keeps lives. The only reader of ``OKAERI_HOME``."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from features import lake
from features.errors import BadInput

FORMAT_VERSION = 1  # raised when a stored shape changes; `okaeri upgrade` migrates
CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Home:
    """One folder with a shop's tables, feature stores, publications, releases and runs.

    A copy of it is a backup: pointers inside hold paths relative to themselves.
    """

    root: Path
    mlruns: Path

    @classmethod
    def open(cls, root: Path | None = None) -> "Home":
        """Open ``root``, else ``$OKAERI_HOME``, else ``feature_repo/data`` and ``mlruns`` of the checkout.

        Raises
        ------
        BadInput
            If the home was written by a version whose format is unknown here.
        """
        named = root or (Path(os.environ["OKAERI_HOME"]) if os.environ.get("OKAERI_HOME") else None)
        home = (
            cls(named.resolve(), named.resolve() / "mlruns")
            if named
            else cls(CHECKOUT / "feature_repo" / "data", CHECKOUT / "mlruns")
        )
        home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.mlruns.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = home.facts().get("format_version", FORMAT_VERSION)
        if found != FORMAT_VERSION:
            raise BadInput(
                f"{home.root / 'home.json'}: format_version {found} is unknown here; this version reads"
                f" {FORMAT_VERSION}"
            )
        return home

    def facts(self) -> dict[str, object]:
        """Read what the home says of itself: its format and the default shop."""
        path = self.root / "home.json"
        return dict(json.loads(path.read_bytes())) if path.exists() else {}

    def adopt(self, shop: str) -> None:
        """Make ``shop`` the default of this home if it is the first one ingested."""
        if "default_shop" not in self.facts():
            lake.write_json(self.root / "home.json", {"default_shop": shop, "format_version": FORMAT_VERSION})

    def default_shop(self) -> str:
        """Name the first shop ingested here, whose publications and releases this home holds.

        Raises
        ------
        BadInput
            If nothing has been ingested yet.
        """
        shop = self.facts().get("default_shop")
        if not isinstance(shop, str):
            raise BadInput(f"{self.root}: no shop has been ingested yet; begin with `okaeri ingest --shop shop.yaml`")
        return shop

    def lake(self, shop: str) -> Path:
        return self.root / "lake" / shop

    def journal(self, shop: str) -> Path:
        return self.root / "journal" / f"{shop}.db"

    @property
    def feast(self) -> Path:
        return self.root / "feast"

    @property
    def publications(self) -> Path:
        return self.root / "publications"

    @property
    def releases(self) -> Path:
        return self.root / "releases"
