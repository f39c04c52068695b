"""Wires what modifies instances: the pool of workers, the kinds of jobs, the routes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orthanc_tw.app import settings
from orthanc_tw.app.base import Base
from orthanc_tw.app.indexing import make_reconstructor
from orthanc_tw.config import Configuration
from orthanc_tw.core.instances import Instances
from orthanc_tw.core.modification.aftermath import Aftermath
from orthanc_tw.core.modification.dry_run import DryRun
from orthanc_tw.core.modification.instance_file import InstanceFiles
from orthanc_tw.core.modification.instances import InstanceModifier
from orthanc_tw.core.run_in_worker import RunInWorker
from orthanc_tw.core.store import InstanceStore
from orthanc_tw.dicom.modification.plan import ModificationSettings
from orthanc_tw.dicom.tag_json import TagOptions
from orthanc_tw.jobs.interface import JobsEngine
from orthanc_tw.jobs.kinds.modification import ModificationKind
from orthanc_tw.jobs.kinds.modification_parameters import (
    MERGE_STUDY,
    RESOURCE_MODIFICATION,
    SPLIT_STUDY,
)
from orthanc_tw.model.levels import ResourceType
from orthanc_tw.model.registries import OverwriteInstances
from orthanc_tw.rest.http import RouteProvider
from orthanc_tw.rest.routes.modification_jobs import ModificationJobRoutes
from orthanc_tw.rest.routes.modify_instance import InstanceModificationRoutes
from orthanc_tw.rest.routes.split_merge import SplitMergeRoutes
from orthanc_tw.rest.streaming import Streamer

_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class ModificationParts:
    """What modifications share.

    :ivar settings: of this moment
    """

    settings: Callable[[], ModificationSettings]
    pseudonym_key: bytes | None
    kinds: Sequence[ModificationKind]
    run: RunInWorker


def make_modification(base: Base, store: InstanceStore) -> ModificationParts:
    """The kinds of jobs, and what the routes need beside them."""
    configuration, index, workers = base.configuration, base.index, base.workers

    def modification_settings() -> ModificationSettings:
        return ModificationSettings(
            default_encoding=base.runtime.default_encoding,
            dictionary=base.main_tags.dictionary,
            conformant=configuration.boolean("ConformantAnonymization") or None,
            lossy_quality=configuration.integer("DicomLossyTranscodingQuality"),
        )

    key = _pseudonym_key(configuration)
    modifier = InstanceModifier(
        index,
        base.storage,
        store,
        workers.run,
        modification_settings,
        pseudonym_key=key,
        with_md5=configuration.boolean("StoreMD5ForAttachments"),
    )
    aftermath = Aftermath(index, base.deleter(index), make_reconstructor(base, index))
    # Two for each worker: one that it works on, one on its way to the disk.
    at_once = configuration.mapping("JobsEngineThreadsCount")
    kinds = [
        ModificationKind(
            type_name, index, modifier, aftermath, at_once.get(type_name, 2 * workers.size)
        )
        for type_name in (RESOURCE_MODIFICATION, SPLIT_STUDY, MERGE_STUDY)
    ]
    return ModificationParts(modification_settings, key, kinds, workers.run)


def modification_routes(
    base: Base,
    parts: ModificationParts,
    engine: JobsEngine,
    instances: Instances,
    streamer: Streamer,
    tag_options: Callable[[], TagOptions],
    levels: Sequence[ResourceType],
) -> Sequence[RouteProvider]:
    """The routes that submit such jobs; none if the server is read-only."""
    if base.is_read_only:
        return ()
    index, storage = base.served_index, base.storage
    overwrite = settings.overwrite_instances(base.configuration)
    dry_run = DryRun(instances, storage, parts.run, parts.settings, parts.pseudonym_key)
    return (
        InstanceModificationRoutes(
            index,
            instances,
            InstanceFiles(storage, parts.run, parts.settings, parts.pseudonym_key),
            dry_run,
            streamer,
            parts.settings,
            _new_seed,
            has_pseudonym_key=parts.pseudonym_key is not None,
        ),
        ModificationJobRoutes(
            index,
            engine,
            parts.settings,
            _new_seed,
            dry_run,
            has_pseudonym_key=parts.pseudonym_key is not None,
            overwrites=overwrite is not OverwriteInstances.NEVER,
            levels=levels,
        ),
        SplitMergeRoutes(index, engine, instances, parts.settings, tag_options, _new_seed),
    )


def _pseudonym_key(configuration: Configuration) -> bytes | None:
    """``PseudonymKey``."""
    secret = configuration.optional_text("PseudonymKey")
    return secret.encode("utf-8") if secret else None


def _new_seed() -> str:
    return secrets.token_hex(_SEED_BYTES)
