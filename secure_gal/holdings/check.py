"""What can be held against a party's data before anything is sent: found later, every party has aligned in vain.

The whole table is looked at. That its training rows alone have, say, one class shows only once the common rows are
known.
"""

from __future__ import annotations

import numpy as np

from secure_gal.data.arrays import ArrayRows
from secure_gal.data.encode_arrays import check_varies
from secure_gal.data.encode_table import Columns
from secure_gal.data.label_form import label_form
from secure_gal.data.log_codec import fit_codec
from secure_gal.data.table import Table
from secure_gal.errors import DataError
from secure_gal.labels.row_weights import row_weights
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study


def check_data(table: Table, party: PartySettings, study: Study) -> list[str]:
    """Refuse a table, or arrays, that this party cannot take part with.

    Returns:
        What a person should know, in words.

    Raises:
        DataError: too many ids, labels that do not fit the task, or nothing to learn from; names the fix.
        SettingsError: a weight of a class that there is not.
    """
    check_size(table, study)
    if party.report.groups:
        from secure_gal.holdings.groups import check_groups, group_levels

        check_groups(table, party)
        group_levels(table, party, study)  # what cannot be read is found now, and not at the end of learning
    known = _check_labels(table, party, study) if party.party == study.sponsor else ""
    return [*([known] if known else []), *(_check_features(table, party) if party.learner.kind != "none" else [])]


def check_size(table: Table, study: Study) -> None:
    """DataError where a table brings more ids to an alignment than the study allows."""
    if len(table.ids) > study.max_ids:
        raise DataError(
            str(table.path),
            f"holds {len(table.ids):,} ids, and the study allows max_ids = {study.max_ids:,}; take "
            "out rows that no other party can hold, or agree on a larger max_ids in study.toml",
        )


def _check_labels(table: Table, party: PartySettings, study: Study) -> str:
    labels = table.labels
    if labels is None:
        raise DataError(str(table.path), f"has no label column {party.data.label!r}")
    if study.protect.privatised:
        from secure_gal.holdings.privatised import label_scheme

        return label_scheme(study.protect).check(labels)
    codec = fit_codec(study.task, study.loss_name, labels, np.ones(len(labels), dtype=np.bool_))
    codec.check_classes(len(labels))
    if codec.outputs != study.k:
        found = label_form(party.data.label or "", labels)
        unlikely = "".join(f"{text}. " for text in found.warnings())
        raise DataError(
            "[data] label",
            f"the label has {len(codec.classes)} classes, and the study {study.k} outputs. {unlikely}If these are the "
            f"classes, write `outputs = {codec.outputs}` in study.toml, at every party. {found.in_words()}",
        )
    row_weights(party.data, codec, codec.encode(labels), np.ones(len(labels), dtype=np.bool_), table.weights)
    return ""


def _check_features(table: Table, party: PartySettings) -> list[str]:
    if not isinstance(table.frame, ArrayRows):
        return Columns.of(table.frame).warnings
    if party.data.categorical:
        raise DataError("[data] categorical", f"{table.path} holds arrays, which have no such columns")
    check_varies(table.frame)
    return []
