"""The configuration: every option as data, loading, validation.

Reads files and environment once, before the reactor runs. Knows nothing of what the options
do: the composition root hands each component the few values it needs.
"""

from orthanc_tw.config.configuration import Configuration
from orthanc_tw.config.errors import ConfigurationError
from orthanc_tw.config.loading import load

__all__ = ["Configuration", "ConfigurationError", "load"]
