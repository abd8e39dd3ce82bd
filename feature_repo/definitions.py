"""What Feast is told about a customer, generated from CATALOG. The only file that `feast apply` reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Float64, Int64, String

from feature_repo.snapshots import TTL, Snapshots
from features import catalog
from features.feature import Feature
from features.home import Home
from features.shop import open_shop

CUSTOMER = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="A customer of the shop, by the shop's own id",
)
KEY = Field(name="customer_id", dtype=String, description="The shop's own id")


@dataclass(frozen=True)
class Definitions:
    """All that Feast is told about one shop."""

    snapshots: FileSource
    customer_features: FeatureView  # offline: a described column per feature, for training
    customer_vector: FeatureView  # online: the stored features as one packed vector, for serving
    training: FeatureService
    scoring: FeatureService

    def objects(self) -> list[Any]:
        """List them in the order in which they are applied."""
        views = [self.customer_features, self.customer_vector]
        return [CUSTOMER, self.snapshots, *views, self.training, self.scoring]


def build(tables: Iterable[str], snapshots: str) -> Definitions:
    """Describe what is known about the customers of a shop with these tables.

    Parameters
    ----------
    tables
        The canonical tables the shop has brought; features of other tables are absent.
    snapshots
        A glob ending in ``.parquet`` over the offline snapshots.
    """
    tables = list(tables)
    source = FileSource(name="snapshots", path=snapshots, timestamp_field="event_timestamp")
    features = FeatureView(
        name="customer_features",
        entities=[CUSTOMER],
        ttl=TTL,
        online=False,
        schema=[KEY, *(_field(feature) for feature in catalog.available(tables))],
        source=source,
        description="Each customer as known at the start of a business day",
    )
    vector = FeatureView(
        name="customer_vector",
        entities=[CUSTOMER],
        ttl=TTL,
        schema=[KEY, *_packed(tables)],
        description="The stored features of each customer, packed in catalogue order",
    )
    training = FeatureService(name="training", features=[features], description="History, every feature")
    scoring = FeatureService(name="scoring", features=[vector], description="The newest packed vector")
    return Definitions(source, features, vector, training, scoring)


def _field(feature: Feature) -> Field:
    return Field(
        name=feature.name,
        dtype=Float64,
        description=f"{feature.meaning} ({feature.unit})",
        tags={"kind": feature.kind, "table": feature.needs, "unit": feature.unit},
    )


def _packed(tables: list[str]) -> list[Field]:
    """Describe the vector. Feast's own event time passes through the machine's time zone, `event_at` not."""
    names = catalog.stored_names(tables)
    return [
        Field(
            name="vector",
            dtype=Array(Float64),
            description=f"{len(names)} stored features in catalogue order, NaN where unknown",
            tags={"schema_hash": catalog.schema_hash(names)},
        ),
        Field(name="schema_hash", dtype=String, description="Hash of the vector's feature names, in order"),
        Field(name="event_at", dtype=Int64, description="As-of instant (us since 1970-01-01 UTC)"),
    ]


if __name__ == "definitions":  # as `feast apply` imports it: a top-level module, for the home's default shop
    _home = Home.open()
    _shop = open_shop(_home)
    _described = build(_shop.tables, Snapshots.of(_home, _shop).glob)
    customer, snapshots, customer_features, customer_vector, training, scoring = _described.objects()
