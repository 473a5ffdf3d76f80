"""The three distances of pgvector that this library searches and indexes by."""

from dataclasses import dataclass
from typing import Literal

from vla_embeddings.errors import InvalidInput

MetricName = Literal["cosine", "euclidean", "inner_product"]


@dataclass(frozen=True)
class Metric:
    """One distance: pgvector's operator, and the tail of its operator classes' names.

    `score` names what a search row shows: the distance itself, or what it was made from;
    `sign` is how a row's score compares with a limit.
    """

    name: MetricName
    operator: str
    opclass: str
    score: str
    sign: Literal["<=", ">="]

    def score_of(self, distance: float) -> float:
        """What a row shows for pgvector's `distance`, which is ascending for every metric."""
        match self.name:
            case "cosine":
                return 1.0 - distance
            case "inner_product":
                return -distance
            case "euclidean":
                return distance

    def passes(self, score: float, limit: float) -> bool:
        """Whether `score` is at `limit` or nearer. NaN never is, though PostgreSQL sorts it up."""
        return score <= limit if self.sign == "<=" else score >= limit


COSINE = Metric("cosine", "<=>", "cosine_ops", score="similarity", sign=">=")
EUCLIDEAN = Metric("euclidean", "<->", "l2_ops", score="distance", sign="<=")
INNER_PRODUCT = Metric("inner_product", "<#>", "ip_ops", score="inner_product", sign=">=")

_METRICS = {metric.name: metric for metric in (COSINE, EUCLIDEAN, INNER_PRODUCT)}


def metric_named(name: MetricName) -> Metric:
    """The metric called `name`; InvalidInput lists the valid names."""
    if name not in _METRICS:
        raise InvalidInput(f"distance_metric must be one of {', '.join(_METRICS)}; got {name!r}.")
    return _METRICS[name]
