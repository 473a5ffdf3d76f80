"""Every error this library raises on purpose.

Each class is also the nearest builtin, so code that knows nothing of this library still
catches sensibly:

    EmbeddingError
    ├── InvalidInput (ValueError)            a text, image, vector or argument that cannot be used
    │   └── DimensionMismatch                a vector of another length than the model or column
    ├── ConfigurationError (ValueError)      an EMBEDDING_* variable or setting
    ├── EmbeddingsDisabled (RuntimeError)    EMBEDDING_ENABLE_EMBEDDINGS is false
    ├── ServiceClosed (RuntimeError)         used after cleanup(), or after a fork
    ├── Overloaded (RuntimeError)            too many embeddings are waiting already
    ├── MissingDependency (ImportError)      an optional extra is not installed
    ├── ModelNotFound (FileNotFoundError)    no checkpoint or artefact where one is needed
    ├── ArtifactDamaged (RuntimeError)       an artefact that is not what its manifest says
    ├── NotWritable (OSError)                a models folder without permission or room to write
    ├── UntrainedModel (RuntimeError)        an artefact with seeded weights, not asked for
    ├── ExportError (RuntimeError)           an export that failed a check
    │   └── ParityError                      a graph that differs from its PyTorch model
    ├── ProviderUnavailable (RuntimeError)   the device asked for cannot be had
    ├── InferenceError (RuntimeError)        native code failed on valid input
    ├── CacheUnavailable (ConnectionError)   Redis is down and the call cannot do without
    ├── DatabaseUnavailable (ConnectionError)  PostgreSQL is down or refuses
    ├── UnknownName (LookupError)            a table or column that does not exist
    ├── SearchError (RuntimeError)           PostgreSQL or pgvector cannot do what was asked
    ├── EngineError (RuntimeError)           Ray cannot be had, or failed under a backfill
    └── LocalServerError (RuntimeError)      an embedded server did not start
"""


class EmbeddingError(Exception):
    """Base of all errors of this library."""


class InvalidInput(EmbeddingError, ValueError):
    """A text, image, vector or argument that cannot be used."""


class DimensionMismatch(InvalidInput):
    """A vector of another length than the model or column has."""


class ConfigurationError(EmbeddingError, ValueError):
    """An EMBEDDING_* variable, or a setting passed in code, that cannot be used."""


class EmbeddingsDisabled(EmbeddingError, RuntimeError):
    """An embedding was asked for while EMBEDDING_ENABLE_EMBEDDINGS is false."""


class ServiceClosed(EmbeddingError, RuntimeError):
    """The service was used after `cleanup()`, or in a process forked after its first call."""


class Overloaded(EmbeddingError, RuntimeError):
    """More embeddings are waiting than the service lets wait; try again later."""


class MissingDependency(EmbeddingError, ImportError):
    """A package of an optional extra is not installed."""


class ModelNotFound(EmbeddingError, FileNotFoundError):
    """No checkpoint or artefact is where one is needed."""


class ArtifactDamaged(EmbeddingError, RuntimeError):
    """An artefact's files are not what its manifest says."""


class NotWritable(EmbeddingError, OSError):
    """The models folder cannot be written: no permission, no room, or a read-only disk."""


class UntrainedModel(EmbeddingError, RuntimeError):
    """An artefact was made from seeded, untrained weights and the caller did not allow that."""


class ExportError(EmbeddingError, RuntimeError):
    """An export failed one of its checks; nothing was written."""


class ParityError(ExportError):
    """A graph's vectors differ from its PyTorch model's by more than the precision allows."""


class ProviderUnavailable(EmbeddingError, RuntimeError):
    """The device asked for cannot be had."""


class InferenceError(EmbeddingError, RuntimeError):
    """Native code failed on input that had passed every check, or lacked memory or a thread."""


class CacheUnavailable(EmbeddingError, ConnectionError):
    """Redis is down, and the call cannot do its work without it."""


class DatabaseUnavailable(EmbeddingError, ConnectionError):
    """PostgreSQL is down or refuses the connection."""


class UnknownName(EmbeddingError, LookupError):
    """A table or column that does not exist in the database."""


class SearchError(EmbeddingError, RuntimeError):
    """PostgreSQL or pgvector cannot do what was asked."""


class EngineError(EmbeddingError, RuntimeError):
    """Ray cannot be reached or started, or failed while it carried out a backfill."""


class LocalServerError(EmbeddingError, RuntimeError):
    """An embedded server did not start."""
